//! Dates and times as XMPP writes them (XEP-0082): UTC, the Gregorian calendar, no leap seconds, nothing before 1970.

const DAY_S: u64 = 24 * 60 * 60;

/// A time in the dateTime profile of XEP-0082, in whole seconds of UTC: `2006-12-19T17:58:35Z`. What is before 1970 is a
/// clock that was never set, and comes out as 1970.
pub fn date_time(unix_s: i64) -> String {
    let unix_s = u64::try_from(unix_s).unwrap_or(0);
    let (days, second) = (unix_s / DAY_S, unix_s % DAY_S);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The same to the microsecond: `2006-12-19T17:58:35.000042Z`.
pub fn date_time_us(unix_us: i64) -> String {
    let unix_us = unix_us.max(0);
    let mut text = date_time(unix_us / 1_000_000);
    text.truncate(text.len() - 1);
    text + &format!(".{:06}Z", unix_us % 1_000_000)
}

/// A time in the dateTime profile of XEP-0082, 3.2, in microseconds since 1970; what is finer is cut off. `None` for
/// anything else; years have four digits. A leap second is the first of the next minute.
pub fn parse_date_time(text: &str) -> Option<i64> {
    let (date, time) = (text.get(..10)?, text.get(10..)?.strip_prefix('T')?);
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time.get(..8)?, ':', [2, 2, 2])?;
    let days_in_month = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction_us, zone) = fraction(time.get(8..)?)?;
    let seconds = days(year, month, day) * DAY_S as i64 + hour * 3600 + minute * 60 + second;
    Some((seconds - offset_s(zone)?) * 1_000_000 + fraction_us)
}

/// Three numbers of so many digits each.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut number = |digits: usize| {
        let part = parts.next()?;
        let plain = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        if plain { part.parse::<i64>().ok() } else { None }
    };
    let found = [number(digits[0])?, number(digits[1])?, number(digits[2])?];
    parts.next().is_none().then_some(found)
}

/// Microseconds of a fraction, if there is one, and what stands behind it.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(text) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = text.bytes().position(|byte| !byte.is_ascii_digit())?;
    if end == 0 {
        return None;
    }
    let digit = |place: usize| text.as_bytes()[..end].get(place).map_or(0, |byte| i64::from(byte - b'0'));
    Some(((0..6).fold(0, |sum, place| sum * 10 + digit(place)), &text[end..]))
}

/// Seconds by which a zone is before UTC.
fn offset_s(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let [hour, minute, _] = numbers(&format!("{}:00", zone.get(1..)?), ':', [2, 2, 2])?;
    (hour <= 23 && minute <= 59).then_some(sign * (hour * 3600 + minute * 60))
}

/// Days since 1970-01-01, of a date that there is: the other way round than [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
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

    #[test]
    fn each_day_of_four_centuries_is_read_as_it_is_written() {
        for days in 0..150_000 {
            let unix_s = days * DAY_S as i64 + 86_399;
            assert_eq!(parse_date_time(&date_time(unix_s)), Some(unix_s * 1_000_000), "day {days}");
        }
        assert_eq!(date_time_us(1_166_551_115_000_042), "2006-12-19T17:58:35.000042Z");
        assert_eq!(parse_date_time("2006-12-19T17:58:35.000042Z"), Some(1_166_551_115_000_042));
        assert_eq!(date_time_us(-5), "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn zones_and_fractions_of_any_length_are_read() {
        for (text, unix_us) in [
            ("1969-07-21T02:56:15Z", -14_159_025_000_000),
            ("1969-07-20T21:56:15-05:00", -14_159_025_000_000),
            ("1969-07-21T04:26:15+01:30", -14_159_025_000_000),
            ("1970-01-01T00:00:00.1Z", 100_000),
            ("1970-01-01T00:00:00.1234567891Z", 123_456),
            ("1970-01-01T00:00:60Z", 60_000_000),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000_000),
        ] {
            assert_eq!(parse_date_time(text), Some(unix_us), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2006-12-19",
            "2006-12-19T17:58:35",
            "2006-12-19 17:58:35Z",
            "2006-12-19T17:58:35z",
            "2006-12-19T17:58:35.Z",
            "2006-12-19T17:58Z",
            "2006-12-19T24:00:00Z",
            "2006-12-19T17:60:00Z",
            "2006-02-29T00:00:00Z",
            "2006-00-01T00:00:00Z",
            "2006-13-01T00:00:00Z",
            "2006-12-32T00:00:00Z",
            "+006-12-19T17:58:35Z",
            "12006-12-19T17:58:35Z",
            "2006-12-19T17:58:35+1:00",
            "2006-12-19T17:58:35+24:00",
            "2006-12-19T17:58:35+01:00:00",
            "2006-12-19T17:58:35ZZ",
            "2006-12-1äT17:58:35Z",
            "20060910T23:08:25",
        ] {
            assert_eq!(parse_date_time(text), None, "{text}");
        }
    }
}
