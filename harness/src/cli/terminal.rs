//! Standard output for results, standard error for everything else, and what each of them can show.

use std::error::Error;
use std::io::{self, IsTerminal, Write};

use console::Style;

use super::failure::Failure;
use crate::report::safe;

/// Whether a stream wants colours: it is a terminal, and <https://no-color.org> is not asked for.
pub fn colours(stream: &impl IsTerminal) -> bool {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    stream.is_terminal() && !plain
}

/// Prints a result.
///
/// # Errors
/// When standard output does not take it; a closed pipe is no error, since its reader has seen enough.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::harness(format!("write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Says why a command could not be done.
pub fn complain(failure: &Failure) {
    let style = |style: Style| style.force_styling(colours(&io::stderr()));
    let mut text =
        format!("{}: failed to {}\n", style(Style::new().red().bold()).apply_to("error"), said(&*failure.error));
    let mut cause = failure.error.source();
    while let Some(error) = cause {
        text.push_str(&format!("  because: {}\n", said(error)));
        cause = error.source();
    }
    if let Some(help) = &failure.help {
        text.push_str(&format!("{}: {help}\n", style(Style::new().cyan().bold()).apply_to("help")));
    }
    // Nobody is left to tell when standard error is closed.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn said(error: &dyn Error) -> String {
    safe::visible(&error.to_string())
}
