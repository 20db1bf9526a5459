//! Text inside of markup.

/// The text with all that would be markup replaced; right in elements and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// A label and the unit that it has in brackets at its end: `Time (s)`.
pub(super) fn split_unit(label: &str) -> (&str, &str) {
    let unit = label.strip_suffix(')').and_then(|label| label.rsplit_once(" ("));
    unit.unwrap_or((label, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(escape("a<b> & \"c\" 'd' µ"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39; µ");
        assert_eq!(escape("&amp;"), "&amp;amp;");
    }

    #[test]
    fn units_stand_in_brackets() {
        assert_eq!(split_unit("Time (s)"), ("Time", "s"));
        assert_eq!(split_unit("Rate (both ends) (1/s)"), ("Rate (both ends)", "1/s"));
        assert_eq!(split_unit("Connections"), ("Connections", ""));
        assert_eq!(split_unit("(s)"), ("(s)", ""));
    }
}
