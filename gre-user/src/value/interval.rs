//! Seconds between two readings.

use std::time::Duration;

/// From a tenth of a second to a day.
///
/// # Errors
/// It is none of these.
pub fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|it| Duration::try_from_secs_f64(it).ok());
    let allowed = Duration::from_millis(100)..=Duration::from_secs(86_400);
    let seconds = seconds.filter(|it| allowed.contains(it));
    seconds.ok_or_else(|| "give seconds, from 0.1 to 86400".to_owned())
}
