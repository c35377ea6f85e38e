//! What a fuzz target was ever given to good use, given to it again by a test: whatever
//! was found stays found. Taken in by each crate that has targets.

/// Gives the target its seeds, written by hand and named for what they show, and its
/// corpus, of which libFuzzer wrote every file.
pub(crate) fn replay(target: &str, run: fn(&[u8])) {
    let fuzz = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let mut count = 0;
    for kept in ["seeds", "corpus"] {
        for entry in std::fs::read_dir(fuzz.join(kept).join(target)).expect(kept) {
            let path = entry.expect("a file").path();
            // Shown where it fails.
            println!("{}", path.display());
            run(&std::fs::read(&path).expect("its bytes"));
            count += 1;
        }
    }
    assert!(count >= 5, "{target}: {count} files only");
}
