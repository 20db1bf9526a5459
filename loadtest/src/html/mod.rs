//! A report as one page, for a person to show to others: a few numbers, plots, and all in tables.
//!
//! The page never needs anything beside itself: no script, no font, no image.

mod axis;
mod number;
mod plot;
mod text;
mod thin;

use std::fmt::Write;

use text::escape;

const STYLE: &str = include_str!("style.css");

/// What a page has, from top to bottom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// What was measured.
    pub title: String,
    /// Whether it has held, and why not.
    pub verdict: Vec<String>,
    /// The few numbers that matter most.
    pub headlines: Vec<Headline>,
    /// Lines over axes.
    pub plots: Vec<Plot>,
    /// Everything, for who looks for it.
    pub tables: Vec<Table>,
}

/// A number in large type.
#[derive(Clone, Debug, PartialEq)]
pub struct Headline {
    /// With its unit.
    pub value: String,
    /// What it is.
    pub label: String,
}

/// A column of names and values.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// What they are about.
    pub title: String,
    /// Name and value, which has its unit.
    pub rows: Vec<(String, String)>,
}

/// Lines over one axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// What the values on the x axis are, with their unit in brackets at the end: `Time (s)`. The
    /// ticks have the unit. Percentiles need none.
    pub x_label: String,
    /// As `x_label`, of the y axis, which begins at zero unless there are values below.
    pub y_label: String,
    /// How values lie on the x axis.
    pub x_axis: Axis,
    /// The lines, drawn in this order. A legend names them if there are two or more.
    pub series: Vec<Series>,
}

/// How values lie on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Equal differences are equal distances.
    Linear,
    /// Values are percentiles, 0 to 100: from 90 to 99 is as far as from 99 to 99.9. The maximum,
    /// 100, has its place at the end.
    Percentile,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Points by ascending x. Those that are not finite are left out, and of very many some.
    pub points: Vec<(f64, f64)>,
}

/// The whole page, in HTML with inline SVG. All texts are escaped.
#[must_use]
pub fn render(page: &Page) -> String {
    let title = escape(&page.title);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n"
    );
    let verdict = page.verdict.iter().map(|line| format!("<p>{}</p>\n", escape(line)));
    section(&mut html, "verdict", verdict);
    section(&mut html, "headlines", page.headlines.iter().map(headline));
    section(&mut html, "plots", page.plots.iter().map(plot::figure));
    section(&mut html, "tables", page.tables.iter().map(table));
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn headline(headline: &Headline) -> String {
    let (value, label) = (escape(&headline.value), escape(&headline.label));
    format!("<p><strong>{value}</strong> {label}</p>\n")
}

fn section(page: &mut String, class: &str, parts: impl ExactSizeIterator<Item = String>) {
    if parts.len() == 0 {
        return;
    }
    let _ = writeln!(page, "<div class=\"{class}\">");
    page.extend(parts);
    page.push_str("</div>\n");
}

fn table(table: &Table) -> String {
    let mut html = format!("<section>\n<h2>{}</h2>\n<table>\n", escape(&table.title));
    for (name, value) in &table.rows {
        let (name, value) = (escape(name), escape(value));
        let _ = writeln!(html, "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>");
    }
    html.push_str("</table>\n</section>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "<script>alert(\"1\" & '2')</script>";

    fn page(title: &str, tables: &[Table], plots: &[Plot]) -> String {
        let (tables, plots) = (tables.to_vec(), plots.to_vec());
        render(&Page { title: title.into(), tables, plots, ..Page::default() })
    }

    fn plot(x_axis: Axis, points: &[&[(f64, f64)]]) -> Plot {
        let series =
            points.iter().map(|points| Series { name: HOSTILE.into(), points: points.to_vec() });
        Plot {
            title: HOSTILE.into(),
            x_label: HOSTILE.into(),
            y_label: format!("{HOSTILE} ({HOSTILE})"),
            x_axis,
            series: series.collect(),
        }
    }

    #[test]
    fn every_text_is_escaped() {
        let row = (HOSTILE.to_owned(), HOSTILE.to_owned());
        let line: &[(f64, f64)] = &[(0.0, 1.0), (1.0, 2.0)];
        let page = render(&Page {
            title: HOSTILE.into(),
            verdict: vec![HOSTILE.into()],
            headlines: vec![Headline { value: HOSTILE.into(), label: HOSTILE.into() }],
            plots: vec![plot(Axis::Linear, &[line, line])],
            tables: vec![Table { title: HOSTILE.into(), rows: vec![row] }],
        });
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("\"1\""), "{page}");
        assert!(page.matches("&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)").count() >= 12);
    }

    #[test]
    fn the_page_needs_nothing_beside_itself() {
        let line: &[(f64, f64)] = &[(0.0, 1.0), (1.0, 2.0)];
        let page = page("a", &[], &[plot(Axis::Percentile, &[line])]);
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn numbers_come_first_then_plots_then_tables() {
        let page = render(&Page {
            title: "a".into(),
            verdict: vec!["it has held".into()],
            headlines: vec![Headline { value: "7 B".into(), label: "each".into() }],
            plots: vec![plot(Axis::Linear, &[])],
            tables: vec![Table { title: "b".into(), rows: Vec::new() }],
        });
        let order = ["<h1>", "it has held", "<strong>7 B</strong> each", "<svg", "<table>"];
        let at = order.map(|part| page.find(part).expect("it is there"));
        assert!(at.is_sorted(), "{at:?}");
    }

    #[test]
    fn sections_without_parts_are_left_out() {
        let page = page("a", &[], &[]);
        assert!(!page.contains("class=\"tables\"") && !page.contains("class=\"plots\""));
        assert!(page.contains("<h1>a</h1>"));
    }

    #[test]
    fn plots_of_any_points_are_drawn_without_numbers_that_are_none() {
        let nan = [(f64::NAN, 1.0), (1.0, f64::INFINITY)];
        let many: Vec<(f64, f64)> = (0..100_000).map(|at| (f64::from(at) / 1e3, 1e9)).collect();
        let negative = [(-3.0, -2.0), (5.0, 1e-9)];
        let sets: [&[&[(f64, f64)]]; 7] = [
            &[],
            &[&[]],
            &[&nan],
            &[&[(5.0, 5.0)]],
            &[&[(0.0, 0.0), (100.0, 0.0)]],
            &[&many],
            &[&negative, &[]],
        ];
        for axis in [Axis::Linear, Axis::Percentile] {
            for set in sets {
                let page = page("a", &[], &[plot(axis, set)]);
                assert!(!page.contains("NaN") && !page.contains("inf"), "{set:?}: {page}");
                assert!(page.len() < 300_000, "{} bytes", page.len());
            }
        }
    }
}
