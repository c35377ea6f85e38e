//! Says when answers are not Anthropic's.

use offpeak_wire::Me;

use super::http::{Client, Error};
use crate::output::Output;

/// The one line on it.
pub(super) fn say(output: Output) {
    output.talk("answers are the stand-in's, nothing was billed");
}

/// Says it if the server talks to the stand-in.
pub(super) async fn ask(client: &Client, output: Output) -> Result<(), Error> {
    let me: Me = client.get("/v1/me").await?;
    if me.upstream.standin {
        say(output);
    }
    Ok(())
}
