//! A class in parts comes to what it comes to as a whole.

use super::*;
use crate::merge::{MergeError, merge};

impl Scene {
    fn shard(&self, out: &str, shard: &str) {
        let shard = shard.parse().expect("a part");
        self.grade(out, |batch| (batch.shard, batch.use_cache) = (shard, false), &StandIn::default()).expect("a part");
    }

    fn merged(&self, parts: &[String], out: &str) -> Result<crate::merge::Merged, MergeError> {
        let parts: Vec<PathBuf> = parts.iter().map(|part| self.out(part)).collect();
        merge(&parts, &self.out(out))
    }
}

#[test]
fn parts_joined_are_the_whole_however_many_they_are_and_though_one_was_killed() {
    let scene = Scene::new(&class(20));
    scene.grade("whole", |batch| batch.use_cache = false, &StandIn::default()).unwrap();
    for of in [1, 3, 16] {
        let names: Vec<String> = (1..=of).map(|number| format!("part-{number}-of-{of}")).collect();
        let mut kills = 0;
        for (index, name) in names.iter().enumerate() {
            let shard = format!("{}/{of}", index + 1);
            if of == 3 && index == 1 {
                while scene.grade_and_kill(name, &shard, Duration::from_millis(60 + 30 * kills)) {
                    kills += 1;
                }
            } else if scene.roster().students.iter().any(|row| shard.parse::<Shard>().unwrap().has(&row.id, LAB)) {
                scene.shard(name, &shard);
            }
        }
        assert!(of != 3 || kills > 0);
        // Of twenty students none may fall into one of sixteen parts.
        let names: Vec<String> = names.into_iter().filter(|name| scene.out(name).exists()).collect();
        let whole = format!("whole-of-{of}");
        let merged = scene.merged(&names, &whole).unwrap();
        assert_eq!(merged.missing, []);
        assert_eq!(scene.canonical(&whole), scene.canonical("whole"));
        let transcripts = |out: &str| fs::read_dir(scene.out(out).join(TRANSCRIPTS)).unwrap().count();
        assert_eq!(transcripts(&whole), transcripts("whole"));
        let left = fs::read_dir(scene.out(&whole)).unwrap().flatten().map(|entry| entry.file_name());
        assert_eq!(left.filter(|name| name.to_string_lossy().starts_with('.')).count(), 0);
    }
}

#[test]
fn parts_that_are_not_of_the_same_are_refused_and_who_is_missing_or_doubled_is_named() {
    let scene = Scene::new(&class(10));
    scene.shard("one", "1/2");
    scene.shard("two", "2/2");
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let missing = scene.merged(&names(&["one"]), "half").unwrap().missing;
    assert_eq!(missing.len(), scene.statuses("two").len());
    let half = scene.statuses("half");
    assert_eq!(half.iter().filter(|(_, status)| status == "not graded yet").count(), missing.len());

    fs::rename(scene.out("two"), scene.out("copy")).unwrap();
    scene.shard("two", "2/2");
    let error = scene.merged(&names(&["two", "one", "copy"]), "all").unwrap_err();
    let doubled = scene.statuses("two")[0].0.clone();
    assert!(matches!(error, MergeError::Doubled { .. }) && error.to_string().contains(&doubled), "{error}");
    assert!(!scene.out("all").exists());

    scene.shard("third", "2/3");
    let error = scene.merged(&names(&["one", "third"]), "all").unwrap_err().to_string();
    assert!(error.contains("the number of parts"), "{error}");

    let other = |batch: &mut Batch<'_>| {
        batch.shard = "2/2".parse().unwrap();
        batch.seed_name = "0x7".to_owned();
    };
    scene.grade("seeded", other, &StandIn::default()).unwrap();
    let error = scene.merged(&names(&["one", "seeded"]), "all").unwrap_err().to_string();
    assert!(error.contains("they differ in the seeds"), "{error}");

    let roster = fs::read_to_string(scene.folder.join("class.csv")).unwrap();
    fs::write(scene.folder.join("class.csv"), roster.replace("Name of s001", "Ada")).unwrap();
    scene.shard("renamed", "2/2");
    let error = scene.merged(&names(&["one", "renamed"]), "all").unwrap_err().to_string();
    assert!(error.contains("the roster"), "{error}");

    let there = scene.merged(&names(&["one"]), "half").unwrap_err();
    assert!(matches!(there, MergeError::There { .. }));
}
