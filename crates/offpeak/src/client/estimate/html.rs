//! The estimate as one HTML file: nothing in it is fetched from elsewhere, it
//! fits a phone, and it prints.

use std::fmt::Write as _;

use time::Date;

use super::page::{Content, Item, MODELS};
use super::report::Report;

const STYLE: &str = include_str!("page.css");

/// The whole file.
pub(super) fn page(report: &Report, today: Date) -> String {
    let content = Content::of(report);
    let mut body = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        body,
        "<h1>{}</h1>\n<p class=\"about\">{}</p>\n",
        escaped(&content.headline),
        escaped(&content.about)
    );
    body.push_str(&bars("What it costs in each lane", "Cost", &content.lanes));
    body.push_str(&bars("What saves", "Saved", &content.savings));
    if content.models.len() > 1 {
        body.push_str(&models(&content.models));
    }
    body.push_str("<h2>What this assumes</h2>\n<ul>\n");
    for note in &content.notes {
        let _ = writeln!(body, "<li class=\"note\">{}</li>", escaped(note));
    }
    for line in &report.assumptions {
        let _ = writeln!(body, "<li>{}</li>", escaped(line));
    }
    body.push_str("</ul>\n");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>What Claude costs, and what it could: offpeak</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\
         <footer>An estimate by offpeak {} of {today}. What is billed decides.</footer>\n\
         </main>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Amounts with a bar each.
fn bars(title: &str, column: &str, items: &[Item]) -> String {
    let mut text = format!(
        "<h2>{title}</h2>\n<table class=\"bars\">\n<thead><tr><th scope=\"col\">&nbsp;</th>\
         <th scope=\"col\">{column}</th><th scope=\"col\">Share</th></tr></thead>\n<tbody>\n"
    );
    for item in items {
        let width = item.permille.clamp(0, 1_000);
        let _ = writeln!(
            text,
            "<tr{}><th scope=\"row\">{}<span class=\"bar\"><i style=\"width:{}.{}%\"></i></span></th>\
             <td>{}</td><td>{}</td></tr>",
            if item.ours { " class=\"ours\"" } else { "" },
            escaped(&item.name),
            width / 10,
            width % 10,
            escaped(&item.amount),
            escaped(&item.share)
        );
    }
    text.push_str("</tbody>\n</table>\n");
    text
}

fn models(rows: &[[String; 6]]) -> String {
    let mut text = "<h2>By model</h2>\n<div class=\"wide\"><table>\n<thead><tr>".to_owned();
    for heading in MODELS {
        let name = heading.trim_start_matches('>');
        let _ = write!(text, "<th scope=\"col\">{}</th>", name.to_lowercase());
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for [model, numbers @ ..] in rows {
        let _ = write!(text, "<tr><th scope=\"row\">{}</th>", escaped(model));
        for number in numbers {
            let _ = write!(text, "<td>{}</td>", escaped(number));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody>\n</table></div>\n");
    text
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    // A number and its percent sign stay on one line.
    for c in text.replace(" %", "\u{a0}%").chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_others_wrote_is_text() {
        assert_eq!(
            escaped("<a href='x'>&\"</a>"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;"
        );
    }
}
