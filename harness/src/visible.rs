//! A grade as students may see it, where a lab has hidden checks: without those checks and the sessions that only they
//! read, without the seed, which would give the hidden operations away, and with the points of what is left.

use crate::grade::{Grade, GradedCheck, Score};

impl Grade {
    /// Whether its lab has something that students must not see.
    pub fn hides(&self) -> bool {
        self.lab.hides
    }

    /// Whether something was taken out that students must not see.
    pub fn is_part(&self) -> bool {
        self.seed.is_empty()
    }

    /// What students may see of it: all, unless it [hides](Self::hides) something.
    pub fn visible(&self) -> Self {
        let mut shown = self.clone();
        if !self.hides() {
            return shown;
        }
        shown.checks.retain(|check| check.visibility.is_visible());
        let read = |check: &GradedCheck, boot: &str| {
            // Boots of a session with several ticks are called `session@tick`.
            let session = boot.split_once('@').map_or(boot, |(session, _)| session);
            check.sessions.iter().any(|name| name == session)
        };
        shown.sessions.retain(|session| shown.checks.iter().any(|check| read(check, &session.id)));
        shown.points = score(&shown.checks);
        shown.reproduce = without_seed(&self.reproduce, &self.seed);
        shown.seed.clear();
        shown.times.sessions.retain(|boot, _| shown.checks.iter().any(|check| read(check, boot)));
        shown
    }
}

/// The points of these checks together.
fn score(checks: &[GradedCheck]) -> Score {
    Score {
        earned: checks.iter().map(|check| check.points.earned).sum(),
        max: checks.iter().map(|check| check.points.max).sum(),
    }
}

/// The command that grades the same again, but for its seed.
fn without_seed(command: &str, seed: &str) -> String {
    command.replace(&format!(" --seed {seed}"), "")
}

#[cfg(test)]
mod tests {
    use crate::grade::Points;
    use crate::report::samples;

    #[test]
    fn nothing_of_a_hidden_check_is_left_for_students_to_see() {
        let grade = samples::with_hidden_checks();
        assert!(grade.hides());
        let shown = grade.visible();
        let text = crate::report::json::to_string(&shown);
        for secret in ["secret-check", "secret-session", "0x5eed", "Secret title"] {
            assert!(crate::report::json::to_string(&grade).contains(secret), "{secret} is not in the sample");
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert_eq!(shown.points.max, Points::whole(16));
        assert!(shown.is_part() && shown.visible() == shown);
    }

    #[test]
    fn the_seed_is_kept_back_where_only_visible_checks_were_run() {
        let mut grade = samples::with_hidden_checks();
        grade.checks.pop();
        assert!(!crate::report::json::to_string(&grade.visible()).contains("0x5eed"));
    }

    #[test]
    fn what_hides_nothing_is_shown_as_it_is() {
        let grade = samples::failed();
        assert_eq!(grade.visible(), grade);
    }
}
