//! Names and patterns of topics: what is one, what matches, and that a subscriber of a
//! pattern gets exactly what matches it.

use super::kit::broker::{Shard, config, text};
use sansse::broker::{MAX_LEVELS, MAX_NAME, SessionRequest, TopicFilter, TopicName, TopicPattern};

/// Lines: the first is a pattern, or is to be one; the others are names.
pub fn run(bytes: &[u8]) {
    let input = String::from_utf8_lossy(bytes);
    let mut lines = input.split('\n');
    let first = lines.next().unwrap_or_default();
    let lines: Vec<&str> = lines.take(8).collect();
    for line in lines.iter().copied().chain([first]) {
        check(line);
    }
    let Ok(pattern) = TopicPattern::new(first) else { return };

    let mut shard = Shard::new(config());
    let one = shard.parked(SessionRequest::new().with_pattern(pattern.clone()));
    let mut expected = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let Ok(name) = TopicName::new(line) else { continue };
        let is_match = matches(first, line);
        assert_eq!(pattern.matches(&name), is_match, "{first:?} and {line:?}");
        assert_eq!(TopicFilter::from(pattern.clone()).matches(&name), is_match);
        shard.publish(name.clone(), &number.to_string());
        if is_match {
            expected.push(number.to_string());
        }
        // Where a name is subscribed to as well, its events still come once.
        let both = SessionRequest::new().with_topic(name.clone()).with_pattern(pattern.clone());
        let session = shard.parked(both);
        shard.publish(name, "once");
        assert_eq!(shard.data(session), ["once"]);
        shard.broker.handle_disconnect(shard.now, session);
        if is_match {
            expected.push("once".to_owned());
        }
    }
    let ready = shard.ready();
    assert_eq!(ready.len(), usize::from(!expected.is_empty()), "ready once, if there is something");
    assert_eq!(shard.data(one), expected);
    // The same, for a session that comes later and asks from the beginning.
    let late = SessionRequest::new()
        .with_pattern(pattern)
        .with_last_event_id(sansse::LastEventId::from_header(b"e-0"));
    let late = shard.open(late);
    assert_eq!(shard.data(late), expected);
}

/// What is a name, and what a pattern, in other words than the library's.
fn check(line: &str) {
    let fits = (1..=MAX_NAME).contains(&line.len())
        && line.split('/').count() <= MAX_LEVELS
        && !line.chars().any(char::is_control);
    let name = TopicName::new(line);
    assert_eq!(name.is_ok(), fits && !line.contains('*'), "{name:?}");
    let levels: Vec<&str> = line.split('/').collect();
    let is_form = levels.iter().enumerate().all(|(index, level)| {
        !level.contains('*') || *level == "*" || (*level == "**" && index + 1 == levels.len())
    });
    let pattern = TopicPattern::new(line);
    assert_eq!(pattern.is_ok(), fits && line.contains('*') && is_form, "{pattern:?}");
    assert_eq!(TopicFilter::new(line).is_ok(), name.is_ok() || pattern.is_ok());
    if let Ok(pattern) = pattern {
        assert_eq!(text(pattern.as_str().as_bytes()), line);
    }
}

/// Level by level, from the end of the pattern.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let name: Vec<&str> = name.split('/').collect();
    let same = |pattern: &[&str], name: &[&str]| {
        pattern.len() == name.len()
            && pattern.iter().zip(name).all(|(one, other)| *one == "*" || one == other)
    };
    match pattern.split_last() {
        Some((&"**", before)) => name.len() >= before.len() && same(before, &name[..before.len()]),
        _ => same(&pattern, &name),
    }
}
