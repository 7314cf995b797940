//! Dates and times as XMPP writes them (XEP-0082): UTC, the Gregorian calendar, no leap seconds, nothing before 1970.

/// A time in the dateTime profile of XEP-0082, in whole seconds of UTC: `2006-12-19T17:58:35Z`. What is before 1970 is a
/// clock that was never set, and comes out as 1970.
pub fn date_time(unix_s: i64) -> String {
    const DAY_S: u64 = 24 * 60 * 60;
    let unix_s = u64::try_from(unix_s).unwrap_or(0);
    let (days, second) = (unix_s / DAY_S, unix_s % DAY_S);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a count of days since 1970-01-01. Years begin in March here, so that a leap day is the last day.
pub fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_400_YEARS: u64 = 146_097;
    const DAYS_TO_1970: u64 = 719_468; // from 0000-03-01
    let days = days + DAYS_TO_1970;
    let (period, day) = (days / DAYS_400_YEARS, days % DAYS_400_YEARS);
    // Leap days that came before in this period: one in 4 years, none in 100, one in 400.
    let leap_days = day / 1_460 - day / 36_524 + day / (DAYS_400_YEARS - 1);
    let year = (day - leap_days) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    // Months from March on have 31, 30, 31, 30, 31 days, again and again: 153 days in five.
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (period * 400 + year + next_year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each checked with `date -u -d @SECONDS`.
    #[test]
    fn a_time_is_written_in_utc() {
        for (unix_s, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_166_551_115, "2006-12-19T17:58:35Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (978_220_800, "2000-12-31T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_740_787_200, "2025-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (4_107_456_000, "2100-02-28T00:00:00Z"),
        ] {
            assert_eq!(date_time(unix_s), text);
        }
        assert_eq!(date_time(-1), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn each_day_of_four_centuries_follows_the_one_before() {
        let days_in = |year: u64, month: u64| match month {
            2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..150_000 {
            assert_eq!(civil(days), (year, month, day), "day {days}");
            day += 1;
            if day > days_in(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
