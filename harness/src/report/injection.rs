//! Whatever a submission says, in every string of a grade, and every reporter's output read as its readers read it.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use serde_json::Value;

use super::github::Fence;
use super::terminal::Theme;
use super::{class, classroom50, github, gradescope, json, junit, markdown, safe, samples, terminal};
use crate::grade::Grade;

/// What everything that a submission says begins and ends with here.
const MARK: &str = "INJECTED";

/// Bytes from which on a text is large.
const LARGE: usize = 10_000;

/// The corpus by name, as text: what is no UTF-8 is replaced as it is on the serial line.
fn corpus() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/injection");
    let mut texts: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned())
        })
        .collect();
    texts.push(("megabyte-line".to_owned(), "`</x>&\u{1b}[31m::error::".repeat(50_000)));
    texts.push(("many-lines".to_owned(), "line|`\n".repeat(10_000)));
    assert!(texts.len() > 14, "the corpus is not there");
    texts.sort();
    texts
}

/// Grades that say each text of the corpus, in each state that reporters tell apart.
fn grades() -> impl Iterator<Item = &'static (String, Grade)> {
    static GRADES: LazyLock<Vec<(String, Grade)>> = LazyLock::new(|| {
        let grades = corpus().into_iter().flat_map(|(name, text)| {
            // Once as it is, since what matters may be what it begins with, and once so that it is recognised.
            let marked = format!("{MARK}{text}{MARK}");
            let all = match text.len() < LARGE {
                true => vec![samples::saying(&marked), samples::saying(&text), samples::refused(&marked, 3)],
                false => vec![samples::flooding(&marked)],
            };
            all.into_iter().map(move |grade| (name.clone(), grade))
        });
        grades.collect()
    });
    GRADES.iter()
}

/// Whether a terminal or an editor would do something other than show this.
fn acts(character: char) -> bool {
    let turns = ['\u{200e}', '\u{200f}', '\u{61c}'].contains(&character)
        || ('\u{202a}'..='\u{202e}').contains(&character)
        || ('\u{2066}'..='\u{2069}').contains(&character);
    turns || (character.is_control() && !['\n', '\t'].contains(&character))
}

#[track_caller]
fn assert_tame(name: &str, text: &str) {
    if let Some(found) = text.chars().find(|character| acts(*character)) {
        panic!("{name}: {found:?} is in\n{}", text.chars().take(2000).collect::<String>());
    }
}

#[test]
fn a_terminal_shows_it_and_obeys_nothing_of_it() {
    let colours = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    for (name, grade) in grades() {
        assert_tame(name, &terminal::render(grade, &Theme::new(false)));
        // All that a report in colours has of its own are colours.
        let coloured = terminal::render(grade, &Theme::new(true));
        assert_tame(name, &colours.replace_all(&coloured, ""));
    }
}

#[test]
fn no_report_has_a_line_that_nobody_could_read() {
    for (name, grade) in grades() {
        for text in [terminal::render(grade, &Theme::new(false)), markdown::to_string(grade)] {
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(longest < 5000, "{name}: {longest}");
        }
        assert!(markdown::to_string(grade).len() < 1 << 20, "{name}");
        assert!(junit::to_string(grade).unwrap().len() < 30 << 20, "{name}");
    }
}

#[test]
fn the_grade_document_is_json_that_says_the_very_same() {
    for (name, grade) in grades() {
        let text = json::to_string(grade);
        assert_tame(name, &text);
        assert_eq!(serde_json::from_str::<Grade>(&text).unwrap(), *grade, "{name}");
    }
}

#[test]
fn junit_is_xml_with_the_cases_of_the_lab_and_no_others() {
    const ELEMENTS: [&str; 10] = [
        "testsuites",
        "testsuite",
        "properties",
        "property",
        "testcase",
        "failure",
        "error",
        "skipped",
        "system-out",
        "system-err",
    ];
    for (name, grade) in grades() {
        let text = junit::to_string(grade).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
        let mut cases = Vec::new();
        for node in document.descendants() {
            assert!(node.is_root() || node.is_element() || node.is_text(), "{name}: {node:?}");
            if node.is_element() {
                assert!(ELEMENTS.contains(&node.tag_name().name()), "{name}: {node:?}");
                node.attributes().for_each(|attribute| assert_tame(name, attribute.value()));
                cases.extend(node.has_tag_name("testcase").then(|| node.attribute("name").unwrap_or_default()));
            }
            assert_tame(name, node.text().unwrap_or_default());
        }
        assert_eq!(cases, ["split", "merge", "throughput", "later"], "{name}");
    }
}

#[test]
fn the_results_for_course_platforms_are_json_with_the_scores_of_the_lab() {
    let runner = |name: &str| Some(if name == "SUBMISSION_TAG" { "submit/1" } else { "x" }.to_owned());
    for (name, grade) in grades() {
        let texts = [gradescope::to_string(grade).unwrap(), classroom50::to_string(grade, runner).unwrap()];
        for text in texts {
            assert_tame(name, &text);
            let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(document["tests"].as_array().map(Vec::len), Some(4), "{name}");
            assert_eq!(document["score"].as_f64().map(f64::floor), Some(f64::from(grade.points.earned).floor()));
        }
        let without: Value = serde_json::from_str(&gradescope::without_grade(&grade.submission.what)).unwrap();
        assert_eq!(without.get("score"), None, "{name}");
        assert_tame(name, &gradescope::without_grade(&grade.submission.what));
    }
}

/// A workflow command.
#[derive(Debug)]
struct Command {
    name: String,
    properties: Vec<(String, String)>,
    data: String,
}

/// What the runner of GitHub Actions makes of a step's output, as its source and documentation have it.
#[derive(Default)]
struct Runner {
    stopped_until: Option<String>,
    obeyed: Vec<Command>,
    /// Lines that were shown while no fence was up, and were no commands.
    plain: Vec<String>,
}

impl Runner {
    fn read(output: &str) -> Self {
        let mut runner = Self::default();
        // .NET takes a lone carriage return for a line's end, too.
        output.replace("\r\n", "\n").split(['\n', '\r']).for_each(|line| runner.line(line));
        runner
    }

    fn line(&mut self, line: &str) {
        const KNOWN: [&str; 18] = [
            "error",
            "warning",
            "notice",
            "debug",
            "group",
            "endgroup",
            "set-output",
            "set-env",
            "save-state",
            "add-mask",
            "add-path",
            "add-matcher",
            "remove-matcher",
            "echo",
            "stop-commands",
            "internal-set-repo-path",
            "section",
            "command",
        ];
        let Some(command) = command(line) else {
            return self.other(line);
        };
        match &self.stopped_until {
            Some(token) => {
                if command.name.eq_ignore_ascii_case(token) {
                    self.stopped_until = None;
                }
            }
            None if command.name.eq_ignore_ascii_case("stop-commands") => self.stopped_until = Some(command.data),
            None if KNOWN.iter().any(|known| command.name.eq_ignore_ascii_case(known)) => self.obeyed.push(command),
            None => self.other(line),
        }
    }

    fn other(&mut self, line: &str) {
        if self.stopped_until.is_none() && !line.is_empty() {
            self.plain.push(line.to_owned());
        }
    }
}

/// A line as a command: `::name key=value,…::data` at its beginning, or `##[name key=value;…]data` anywhere.
fn command(line: &str) -> Option<Command> {
    let pairs = |text: &str, separator: char, unescape: &dyn Fn(&str) -> String| {
        let pairs = text.split(separator).filter_map(|pair| pair.trim().split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), unescape(value))).collect()
    };
    let unescape = |text: &str| text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%");
    if let Some((info, data)) = line.trim_start().strip_prefix("::").and_then(|rest| rest.split_once("::")) {
        let (name, properties) = info.split_once(' ').unwrap_or((info, ""));
        let of_property = |text: &str| unescape(&text.replace("%3A", ":").replace("%2C", ","));
        let properties = pairs(properties, ',', &of_property);
        return Some(Command { name: name.to_owned(), properties, data: unescape(data) });
    }
    let (info, data) = line[line.find("##[")? + 3..].split_once(']')?;
    let (name, properties) = info.split_once(' ').unwrap_or((info, ""));
    Some(Command { name: name.to_owned(), properties: pairs(properties, ';', &unescape), data: unescape(data) })
}

#[test]
fn the_runner_of_these_tests_obeys_what_the_real_one_does() {
    let forged = corpus().into_iter().find(|(name, _)| name == "workflow-commands").unwrap().1;
    let obeyed = Runner::read(&forged.replace("::stop-commands::mine\n", "")).obeyed;
    assert!(obeyed.len() > 10, "{obeyed:?}");
    assert_eq!(Runner::read("::stop-commands::t\n::error::x\n##[error]x\n::T::\n::notice::y").obeyed.len(), 1);
}

#[test]
fn a_workflow_obeys_our_annotations_and_nothing_that_is_fenced() {
    for (name, grade) in grades() {
        let (fence, opening) = Fence::open();
        let report = terminal::render(grade, &Theme::new(false));
        let log = [opening, report, grade.submission.what.clone(), "\n".to_owned(), fence.close()].concat();
        let runner = Runner::read(&(log + &github::commands(grade) + &github::without_grade(&grade.submission.what)));
        assert_eq!(runner.stopped_until, None, "{name}");
        assert!(runner.plain.is_empty(), "{name}: {:?}", runner.plain);
        for (kind, most) in [("error", 11), ("warning", 10), ("notice", 1)] {
            let count = runner.obeyed.iter().filter(|command| command.name == kind).count();
            assert!(count <= most, "{name}: {count} of {kind}");
        }
        for Command { name: kind, properties, data: message } in &runner.obeyed {
            assert!(["error", "warning", "notice"].contains(&kind.as_str()), "{name}: {kind}");
            let known = |key: &str| ["file", "line", "col", "title"].contains(&key);
            assert!(properties.iter().all(|(key, _)| known(key)), "{name}: {properties:?}");
            let file = properties.iter().find(|(key, _)| key == "file").map(|(_, file)| file.as_str());
            assert!(file.is_none_or(|file| file == "mm/src/page/buddy.rs"), "{name}: {file:?}");
            assert!(message.chars().count() <= 4096 && message.len() < 20_000, "{name}");
            assert_tame(name, message);
        }
    }
}

#[test]
fn the_outputs_of_a_step_are_ours_alone() {
    for (name, grade) in grades() {
        let folder = tempfile::tempdir().unwrap();
        let path = |file: &str| folder.path().join(file);
        let variable = |name: &str| Some(path(name).into_os_string());
        github::write_step_files(grade, variable).unwrap();
        let outputs = fs::read_to_string(path("GITHUB_OUTPUT")).unwrap();
        let names: Vec<&str> = outputs.lines().map(|line| line.split_once('=').expect("name=value").0).collect();
        assert_eq!(names, ["score", "max-score", "passed"], "{name}");
        assert!(fs::metadata(path("GITHUB_STEP_SUMMARY")).unwrap().len() <= 128 << 10, "{name}");
    }
}

#[test]
fn markdown_shows_it_as_code_and_has_no_markup_but_ours() {
    let options = Options::all();
    let ours = ["<details>", "</details>", "<summary>", "</summary>", "<code>", "</code>"];
    for (name, grade) in grades() {
        let text = markdown::to_string(grade);
        assert_tame(name, &text);
        let (mut in_code, mut headings, mut marked, mut html) = (false, 0, 0, String::new());
        for event in Parser::new_ext(&text, options) {
            match event {
                Event::Start(Tag::CodeBlock(_)) => in_code = true,
                Event::End(TagEnd::CodeBlock) => in_code = false,
                Event::Start(Tag::Heading { .. }) => headings += 1,
                Event::Start(
                    Tag::Link { .. } | Tag::Image { .. } | Tag::FootnoteDefinition(_) | Tag::BlockQuote(_),
                )
                | Event::FootnoteReference(_)
                | Event::TaskListMarker(_)
                | Event::InlineMath(_)
                | Event::DisplayMath(_)
                | Event::Rule => panic!("{name}: {event:?}\n{text}"),
                Event::Text(said) if !in_code => assert!(!said.contains(MARK), "{name}: {said}\n{text}"),
                Event::Text(said) => marked += said.matches(MARK).count(),
                Event::Code(said) => marked += said.matches(MARK).count(),
                Event::Html(tags) | Event::InlineHtml(tags) => html.push_str(&tags),
                _ => {}
            }
        }
        assert!(headings <= 6, "{name}: {headings}\n{text}");
        assert!(!html.contains(MARK), "{name}: {html}");
        let rest = ours.iter().fold(html, |html, tag| html.replace(tag, ""));
        assert!(!rest.contains(['<', '>', '&']), "{name}: {rest}");
        assert!(marked > 0 || !grade.submission.what.starts_with(MARK), "{name}: it is not shown at all");
    }
}

#[test]
fn the_reports_of_a_class_obey_nothing_of_it_either() {
    for (name, text) in corpus().into_iter().filter(|(_, text)| text.len() < LARGE) {
        let class = class::tests::saying(&text);
        let table = class::csv::to_string(&class).unwrap();
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), class.rows.len(), "{name}");
        for cell in rows.iter().flatten() {
            assert_tame(&name, cell);
            let begins = cell.trim_start().chars().next().unwrap_or_default();
            assert!(!"=+-@|%＝＋－＠".contains(begins), "{name}: {cell:?}");
        }
        let xml = class::junit::to_string(&class).unwrap();
        let document = roxmltree::Document::parse(&xml).unwrap_or_else(|error| panic!("{name}: {error}\n{xml}"));
        assert_eq!(document.descendants().filter(|node| node.has_tag_name("testsuite")).count(), 4, "{name}");
        let page = class::markdown::render(&class, &[class::tests::like(&text, 1)]);
        assert_tame(&name, &page);
        for event in Parser::new_ext(&page, Options::all()) {
            match event {
                Event::Start(
                    Tag::Link { .. } | Tag::Image { .. } | Tag::FootnoteDefinition(_) | Tag::BlockQuote(_),
                )
                | Event::FootnoteReference(_)
                | Event::InlineMath(_)
                | Event::DisplayMath(_) => panic!("{name}: {event:?}\n{page}"),
                Event::Html(tags) | Event::InlineHtml(tags) => {
                    let ours = ["<details>", "</details>", "<summary>All students</summary>"];
                    let rest = ours.iter().fold(tags.into_string(), |tags, own| tags.replace(own, ""));
                    assert_eq!(rest.trim(), "", "{name}: {page}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn what_is_shown_is_what_was_said() {
    let said = "a <b> & \"c\" `d` | *e* #1 @f 50% [g](h) \\ ]]>";
    let grade = samples::saying(said);
    let text = markdown::to_string(&grade);
    let shown = Parser::new_ext(&text, Options::all()).filter_map(|event| match event {
        Event::Code(text) | Event::Text(text) => Some(text.into_string()),
        _ => None,
    });
    assert!(shown.collect::<String>().contains(said));
    let xml = junit::to_string(&grade).unwrap();
    let document = roxmltree::Document::parse(&xml).unwrap();
    let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
    assert_eq!(failure.attribute("message"), Some(safe::xml(said).as_str()));
    let commands = github::commands(&grade);
    assert!(Runner::read(&commands).obeyed.iter().any(|command| command.data.contains(said)), "{commands}");
}
