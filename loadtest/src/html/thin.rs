//! Fewer points for the same line.

/// The line with at most `max` points, which is above 3. Of each stretch the lowest and the highest
/// stay, so no spike is lost; the first and the last stay as well.
pub(super) fn thin(points: &[(f64, f64)], max: usize) -> Vec<(f64, f64)> {
    if points.len() <= max {
        return points.to_vec();
    }
    let (first, last) = (points[0], points[points.len() - 1]);
    let inner = &points[1..points.len() - 1];
    let stretch = inner.len().div_ceil((max - 2) / 2);
    let mut thinned = vec![first];
    for stretch in inner.chunks(stretch) {
        let by_height = |at: &usize| stretch[*at].1;
        let compare = |a: &usize, b: &usize| by_height(a).total_cmp(&by_height(b));
        let lowest = (0..stretch.len()).min_by(compare).expect("chunks are not empty");
        let highest = (0..stretch.len()).max_by(compare).expect("chunks are not empty");
        thinned.push(stretch[lowest.min(highest)]);
        if lowest != highest {
            thinned.push(stretch[lowest.max(highest)]);
        }
    }
    thinned.push(last);
    thinned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_points_stay_as_they_are() {
        let points: Vec<_> = (0..100).map(|at| (f64::from(at), 0.0)).collect();
        assert_eq!(thin(&points, 100), points);
        assert!(thin(&points, 99).len() <= 99);
    }

    #[test]
    fn spikes_and_ends_stay() {
        let mut points: Vec<_> =
            (0..100_003).map(|at| (f64::from(at), f64::from(at % 7))).collect();
        points[50_000].1 = 1000.0;
        points[50_001].1 = -1000.0;
        let thinned = thin(&points, 800);
        assert!(thinned.len() <= 800, "{}", thinned.len());
        assert_eq!((thinned[0], thinned[thinned.len() - 1]), (points[0], points[100_002]));
        assert!(thinned.contains(&(50_000.0, 1000.0)) && thinned.contains(&(50_001.0, -1000.0)));
        assert!(thinned.is_sorted_by(|a, b| a.0 < b.0));
    }
}
