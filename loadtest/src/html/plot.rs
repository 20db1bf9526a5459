//! A plot as inline SVG. Colours and fonts are the style sheet's.

use std::fmt::Write;

use super::axis::{Scale, Tick};
use super::text::{escape, split_unit};
use super::thin::thin;
use super::{Plot, Series};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 340.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 48.0;
const RIGHT: f64 = 24.0;
/// Of a digit in a tick, and of the space between ticks and axis.
const DIGIT: f64 = 6.6;
const TICK_GAP: f64 = 10.0;

/// Colours of the style sheet; series beyond them begin again, dashed.
const COLOURS: usize = 6;

/// Points of a line at most: with more, two would lie on one pixel.
const POINTS_MAX: usize = 800;
/// Points of a line that tell their value when pointed at.
const TARGETS_MAX: usize = 120;

/// Where the data lies in the picture.
struct Frame {
    left: f64,
    x: Scale,
    y: Scale,
}

/// The plot with its title and legend.
pub(super) fn figure(plot: &Plot) -> String {
    let series: Vec<Series> = plot.series.iter().map(finite).collect();
    let values = || series.iter().flat_map(|series| &series.points);
    let x = Scale::tight(plot.x_axis, values().map(|point| point.0));
    let y = Scale::roomy(values().map(|point| point.1));
    let (x_label, x_unit) = split_unit(&plot.x_label);
    let (y_label, y_unit) = split_unit(&plot.y_label);
    let (x_ticks, y_ticks) = (x.ticks(x_unit), y.ticks(y_unit));
    let widest = y_ticks.iter().map(|tick| tick.text.chars().count()).max().unwrap_or(0);
    let frame = Frame { left: widest as f64 * DIGIT + TICK_GAP + 4.0, x, y };
    let title = escape(&plot.title);
    let mut html = format!("<figure>\n<h2>{title}</h2>\n");
    legend(&mut html, &series);
    let _ = writeln!(
        html,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
    );
    frame.grid(&mut html, &x_ticks, &y_ticks);
    frame.labels(&mut html, x_label, y_label);
    if values().next().is_none() {
        frame.say_empty(&mut html);
    }
    if let [series] = &series[..] {
        frame.area(&mut html, series);
    }
    for (at, series) in series.iter().enumerate() {
        frame.line(&mut html, at, series);
    }
    for (at, series) in series.iter().enumerate() {
        frame.targets(&mut html, at, series, x_unit, y_unit);
    }
    html.push_str("</svg>\n</figure>\n");
    html
}

fn finite(series: &Series) -> Series {
    let points = series.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
    Series { name: series.name.clone(), points: points.copied().collect() }
}

/// One line needs none.
fn legend(html: &mut String, series: &[Series]) {
    if series.len() < 2 {
        return;
    }
    html.push_str("<ul class=\"legend\">\n");
    for (at, series) in series.iter().enumerate() {
        let (class, name) = (class(at), escape(&series.name));
        let _ = writeln!(
            html,
            "<li><svg viewBox=\"0 0 22 8\" class=\"{class}\" aria-hidden=\"true\">\
             <path class=\"line\" d=\"M1 4H21\"/></svg>{name}</li>"
        );
    }
    html.push_str("</ul>\n");
}

fn class(at: usize) -> String {
    let dashed = if at < COLOURS { "" } else { " dashed" };
    format!("series-{}{dashed}", at % COLOURS)
}

impl Frame {
    fn x(&self, place: f64) -> f64 {
        self.left + place * (WIDTH - RIGHT - self.left)
    }

    fn y(&self, place: f64) -> f64 {
        HEIGHT - BOTTOM - place * (HEIGHT - BOTTOM - TOP)
    }

    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x(self.x.place(x)), self.y(self.y.place(y)))
    }

    fn grid(&self, html: &mut String, x_ticks: &[Tick], y_ticks: &[Tick]) {
        let (left, right) = (self.x(0.0), self.x(1.0));
        let (top, bottom) = (self.y(1.0), self.y(0.0));
        html.push_str("<g class=\"grid\">\n");
        for tick in x_ticks {
            let x = self.x(tick.place);
            let _ = writeln!(html, "<path d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>");
        }
        for tick in y_ticks {
            let y = self.y(tick.place);
            let _ = writeln!(html, "<path d=\"M{left:.1} {y:.1}H{right:.1}\"/>");
        }
        let zero = self.y(self.y.place(0.0));
        let _ =
            writeln!(html, "<path class=\"zero\" d=\"M{left:.1} {zero:.1}H{right:.1}\"/>\n</g>");
        html.push_str("<g class=\"ticks\">\n");
        for tick in x_ticks {
            let (x, y) = (self.x(tick.place), bottom + 18.0);
            let text = escape(&tick.text);
            let _ = writeln!(html, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"x\">{text}</text>");
        }
        for tick in y_ticks {
            let (x, y) = (left - TICK_GAP, self.y(tick.place) + 4.0);
            let text = escape(&tick.text);
            let _ = writeln!(html, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"y\">{text}</text>");
        }
        html.push_str("</g>\n");
    }

    fn labels(&self, html: &mut String, x_label: &str, y_label: &str) {
        let (x, y) = (self.x(0.5), HEIGHT - 8.0);
        let (x_label, y_label) = (escape(x_label), escape(y_label));
        let _ = writeln!(
            html,
            "<g class=\"labels\"><text x=\"{x:.1}\" y=\"{y:.1}\" class=\"x\">{x_label}</text>\
             <text x=\"0\" y=\"12\">{y_label}</text></g>"
        );
    }

    fn say_empty(&self, html: &mut String) {
        let (x, y) = (self.x(0.5), self.y(0.5));
        let _ = writeln!(html, "<text class=\"empty\" x=\"{x:.1}\" y=\"{y:.1}\">no data</text>");
    }

    /// What is below the line, where it is the only one.
    fn area(&self, html: &mut String, series: &Series) {
        let [first, _, ..] = &series.points[..] else { return };
        let (from, _) = self.at(*first);
        let zero = self.y(self.y.place(0.0));
        let (path, class) = (self.path(series), class(0));
        let _ = writeln!(html, "<path class=\"area {class}\" d=\"{path}V{zero:.1}H{from:.1}\"/>");
    }

    fn line(&self, html: &mut String, at: usize, series: &Series) {
        let class = class(at);
        match series.points[..] {
            [] => {}
            [point] => {
                let (x, y) = self.at(point);
                let _ = writeln!(
                    html,
                    "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"
                );
            }
            _ => {
                let path = self.path(series);
                let _ = writeln!(html, "<path class=\"line {class}\" d=\"{path}\"/>");
            }
        }
    }

    fn path(&self, series: &Series) -> String {
        let mut path = String::new();
        for (at, point) in thin(&series.points, POINTS_MAX).into_iter().enumerate() {
            let (x, y) = self.at(point);
            let _ = write!(path, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
        }
        path
    }

    /// Discs that are seen only when pointed at, and say the value then.
    fn targets(&self, html: &mut String, at: usize, series: &Series, x_unit: &str, y_unit: &str) {
        let name = escape(&series.name);
        let _ = writeln!(html, "<g class=\"targets {}\">", class(at));
        for point in thin(&series.points, TARGETS_MAX) {
            let (x, y) = self.at(point);
            let x_word = escape(&self.x.word(point.0, x_unit));
            let y_word = escape(&self.y.word(point.1, y_unit));
            let _ = writeln!(
                html,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\">\
                 <title>{name}\n{x_word}: {y_word}</title></circle>"
            );
        }
        html.push_str("</g>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::Axis;

    fn plot(points: &[&[(f64, f64)]]) -> Plot {
        let series = points
            .iter()
            .enumerate()
            .map(|(at, points)| Series { name: format!("line {at}"), points: points.to_vec() });
        Plot {
            title: "Latency".into(),
            x_label: "Time (s)".into(),
            y_label: "Latency (ms)".into(),
            x_axis: Axis::Linear,
            series: series.collect(),
        }
    }

    #[test]
    fn no_series_and_empty_series_say_that_there_is_no_data() {
        for points in [&[][..], &[&[][..]][..]] {
            let html = figure(&plot(points));
            assert!(html.contains(">no data<") && html.contains("Latency"), "{html}");
            assert!(!html.contains("class=\"line"), "{html}");
        }
    }

    #[test]
    fn a_single_point_is_a_dot() {
        let html = figure(&plot(&[&[(3.0, 5.0)]]));
        assert_eq!(html.matches("class=\"dot series-0\"").count(), 1, "{html}");
        assert!(html.contains("<title>line 0\n3\u{a0}s: 5\u{a0}ms</title>"), "{html}");
    }

    #[test]
    fn only_more_than_one_line_needs_a_legend() {
        let line: &[(f64, f64)] = &[(0.0, 1.0), (1.0, 2.0)];
        assert!(!figure(&plot(&[line])).contains("legend"));
        let html = figure(&plot(&[line; 8]));
        assert_eq!(html.matches("<li>").count(), 8);
        assert!(html.contains("series-1 dashed"), "the eighth is not the second");
    }

    #[test]
    fn data_fill_the_frame() {
        let html = figure(&plot(&[&[(0.0, 0.0), (10.0, 60.0)]]));
        let left = 5.0 * DIGIT + TICK_GAP + 4.0;
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let line =
            format!("class=\"line series-0\" d=\"M{left:.1} {bottom:.1}L{right:.1} {TOP:.1}\"");
        assert!(html.contains(&line), "{line} in {html}");
    }
}
