//! A line chart as inline SVG, coloured by the page's style sheet.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;
const MARKS: usize = 5;

/// One chart: one line over one axis.
#[derive(Debug)]
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) across: &'a str,
    pub(crate) up: &'a str,
    pub(crate) points: Vec<(f64, f64)>,
    /// Texts at places of the axis across, where numbers would not do.
    pub(crate) marks: Option<Vec<(f64, String)>>,
    /// Whether the axis up counts in powers of ten.
    pub(crate) is_logarithmic: bool,
}

impl Chart<'_> {
    /// The chart under its title; nothing where there is nothing to show.
    pub(crate) fn svg(&self) -> String {
        let finite = self.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let points: Vec<(f64, f64)> = finite.map(|(x, y)| (*x, self.scaled(*y))).collect();
        if points.len() < 2 {
            return String::new();
        }
        let (first, last) = (points[0].0, points[points.len() - 1].0.max(points[0].0 + 1e-9));
        let highest = points.iter().map(|(_, y)| *y).fold(0.0, f64::max);
        let top = if self.is_logarithmic { highest.ceil().max(1.0) } else { round_up(highest) };
        let x = |value: f64| LEFT + (value - first) / (last - first) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);

        let mut svg = format!(
            "<figure><figcaption>{}</figcaption><svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{}'>",
            self.title, self.title
        );
        for (value, text) in self.levels(top) {
            let at = y(value);
            // Writing to a string cannot fail.
            let _ = write!(
                svg,
                "<line class='grid' x1='{LEFT}' x2='{}' y1='{at:.1}' y2='{at:.1}'/>\
                 <text x='{}' y='{:.1}' text-anchor='end'>{text}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0
            );
        }
        for (value, text) in self.places(first, last) {
            let _ = write!(
                svg,
                "<text x='{:.1}' y='{}' text-anchor='middle'>{text}</text>",
                x(value),
                HEIGHT - BOTTOM + 16.0
            );
        }
        let line: Vec<String> =
            points.iter().map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py))).collect();
        let _ = write!(
            svg,
            "<polyline points='{}'/><text class='axis' x='{}' y='{}' text-anchor='end'>{}</text>\
             <text class='axis' x='{LEFT}' y='{}' text-anchor='start'>{}</text></svg></figure>",
            line.join(" "),
            WIDTH - RIGHT,
            HEIGHT - 6.0,
            self.across,
            HEIGHT - 6.0,
            self.up
        );
        svg
    }

    fn scaled(&self, value: f64) -> f64 {
        if self.is_logarithmic { value.max(1.0).log10() } else { value.max(0.0) }
    }

    fn levels(&self, top: f64) -> Vec<(f64, String)> {
        if self.is_logarithmic {
            return (0..=top as i32).map(|power| (power.into(), figure(10_f64.powi(power)))).collect();
        }
        let level = |mark| top * mark as f64 / (MARKS - 1) as f64;
        (0..MARKS).map(|mark| (level(mark), figure(level(mark)))).collect()
    }

    fn places(&self, first: f64, last: f64) -> Vec<(f64, String)> {
        if let Some(marks) = &self.marks {
            return marks.iter().filter(|(at, _)| (first..=last).contains(at)).cloned().collect();
        }
        let step = round_up((last - first) / MARKS as f64);
        let marks = (0..=MARKS + 1).map(|mark| ((first / step).ceil() + mark as f64) * step);
        marks.take_while(|at| *at <= last).map(|at| (at, figure(at))).collect()
    }
}

/// The next number above of 1, 2, 2.5, 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    steps.map(|step| step * power).into_iter().find(|step| *step >= value).unwrap_or(value)
}

/// A figure as short as it can be read.
pub(crate) fn figure(value: f64) -> String {
    let (value, unit) = match value {
        value if value >= 1e6 => (value / 1e6, " M"),
        value if value >= 1e4 => (value / 1e3, " k"),
        value => (value, ""),
    };
    let text = format!("{value:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>, is_logarithmic: bool) -> Chart<'static> {
        Chart { title: "t", across: "s", up: "1/s", points, marks: None, is_logarithmic }
    }

    #[test]
    fn the_highest_point_lies_at_the_top_and_zero_at_the_bottom() {
        let svg = chart(vec![(0.0, 0.0), (1.0, 20.0)], false).svg();
        assert!(svg.contains("<polyline points='64.0,200.0 708.0,12.0'/>"), "{svg}");
        assert!(svg.contains(">20</text>") && svg.contains(">0.4</text>"), "{svg}");
        let svg = chart(vec![(0.0, 1.0), (1.0, 1000.0)], true).svg();
        assert!(svg.contains("<polyline points='64.0,200.0 708.0,12.0'/>"), "{svg}");
    }

    #[test]
    fn the_axis_across_is_marked_at_round_numbers_within_it() {
        let places = chart(vec![], false).places(0.25, 5.1);
        assert_eq!(
            places.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(),
            ["1", "2", "3", "4", "5"]
        );
    }

    #[test]
    fn too_little_to_draw_is_nothing() {
        assert_eq!(chart(vec![], false).svg(), "");
        assert_eq!(chart(vec![(0.0, 1.0), (f64::NAN, 1.0)], false).svg(), "");
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(figure(0.0), "0");
        assert_eq!(figure(2.50), "2.5");
        assert_eq!(figure(12_300.0), "12.3 k");
        assert_eq!(figure(3e6), "3 M");
        assert_eq!(round_up(21.0), 25.0);
        assert_eq!(round_up(0.0), 1.0);
    }
}
