//! What is pointed out, and what is not.

use super::*;

/// Statements of different shapes.
const STATEMENTS: [&str; 12] = [
    "let v = a + b[c];",
    "if v < c { return v; }",
    "while v.next() != None { c -= 1; }",
    "b[v] = self.take(a, c)?;",
    "match a { 0 => c, _ => v }",
    "for v in 0..c { b.push(v); }",
    "*v |= !(1 << c);",
    "let Some(v) = b.get(c) else { break };",
    "assert!(v % 2 == 0 && c > 7);",
    "unsafe { core::ptr::write(v, a) }",
    "c = (v * 8) as usize ^ a;",
    "loop { v >>= 1; }",
];

/// A file with a function for each number, whose statements are drawn from it.
fn functions(numbers: impl IntoIterator<Item = u64>) -> String {
    let function = |number: u64| {
        let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut statement = || {
            // Marsaglia's xorshift ("Xorshift RNGs", 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            STATEMENTS[(state % STATEMENTS.len() as u64) as usize]
        };
        let body: String = (0..15).map(|_| format!("{}\n", statement())).collect();
        format!("fn f{number}(a: u32, b: &[u32], c: u32) -> u32 {{\n{body} v\n}}\n")
    };
    numbers.into_iter().map(function).collect()
}

fn print(text: &str, start: &str) -> Vec<u32> {
    fingerprint([text.as_bytes()], [start.as_bytes()])
}

fn found(prints: &[(&str, Vec<u32>)]) -> Vec<(String, String, u32)> {
    let prints: Vec<(String, Vec<u32>)> =
        prints.iter().map(|(name, numbers)| ((*name).to_owned(), numbers.clone())).collect();
    let pairs = pairs(&prints, &BTreeMap::new(), 0.3);
    pairs.into_iter().map(|pair| (pair.one, pair.other, (pair.share * 100.0).round() as u32)).collect()
}

#[test]
fn a_copy_with_other_names_and_another_order_is_found_and_own_work_is_not() {
    let start = functions([1]);
    let own = functions([1, 2, 3, 4]);
    let copy = functions([3, 4, 1, 2]).replace('v', "wert").replace("fn f", "// mine\nfn g");
    let other = functions([1, 5, 6, 7]);
    let prints = [("own", print(&own, &start)), ("copy", print(&copy, &start)), ("other", print(&other, &start))];
    let found = found(&prints);
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("copy", "own"), "{found:?}");
    assert!(found[0].2 >= 80, "{found:?}");
    assert!(found[1..].iter().all(|(.., share)| *share < 60), "{found:?}");
}

#[test]
fn what_everybody_started_from_is_nobody_s() {
    let start = functions([1, 2, 3, 4]);
    assert!(print(&start, &start).is_empty());
    assert_eq!(found(&[("a", print(&start, &start)), ("b", print(&start, &start))]), []);
}

#[test]
fn of_many_that_are_the_same_each_is_named_and_members_of_a_group_are_not() {
    let copy = print(&functions([1, 2, 3]), "");
    let prints: Vec<(String, Vec<u32>)> = (0..60).map(|number| (format!("s{number:02}"), copy.clone())).collect();
    let alone = pairs(&prints, &BTreeMap::new(), 0.5);
    assert_eq!((alone.len(), alone[0].share), (59, 1.0));
    let teams = prints.iter().map(|(student, _)| (student.clone(), "one".to_owned())).collect();
    assert_eq!(pairs(&prints, &teams, 0.5), []);
}
