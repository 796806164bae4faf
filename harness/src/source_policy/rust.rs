//! Rules for Rust, on the syntax tree; in what macros are given and made of, on the tokens.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};

use super::{Found, Rule, is_reserved};

/// Macros that are forbidden by name.
const MACROS: [(&str, Rule); 9] = [
    ("asm", Rule::Asm),
    ("global_asm", Rule::Asm),
    ("naked_asm", Rule::Asm),
    ("include", Rule::Include),
    ("include_str", Rule::Include),
    ("include_bytes", Rule::Include),
    ("env", Rule::Env),
    ("option_env", Rule::Env),
    ("concat_idents", Rule::Hidden),
];

/// Attributes that are forbidden by name.
const ATTRIBUTES: [(&str, Rule); 16] = [
    ("path", Rule::Path),
    ("link", Rule::Link),
    ("link_name", Rule::Link),
    ("link_section", Rule::Link),
    ("link_ordinal", Rule::Link),
    ("no_mangle", Rule::Link),
    ("export_name", Rule::Link),
    ("no_link", Rule::Link),
    ("used", Rule::Link),
    ("linkage", Rule::Link),
    ("naked", Rule::Asm),
    ("macro_export", Rule::Global),
    ("panic_handler", Rule::Global),
    ("global_allocator", Rule::Global),
    ("alloc_error_handler", Rule::Global),
    ("lang", Rule::Global),
];

/// Names that mean one thing wherever they stand: no student calls a variable so.
const TELLING: [&str; 12] = [
    "asm",
    "global_asm",
    "naked_asm",
    "include_str",
    "include_bytes",
    "option_env",
    "no_mangle",
    "export_name",
    "link_section",
    "global_allocator",
    "panic_handler",
    "concat_idents",
];

/// Crates that every kernel has.
const CRATES: [&str; 3] = ["core", "alloc", "self"];

fn rule_of(table: &[(&str, Rule)], name: &str) -> Option<Rule> {
    table.iter().find(|(known, _)| *known == name).map(|(_, rule)| *rule)
}

pub(super) fn look(text: &str) -> Vec<Found> {
    let mut looker = Looker::default();
    match syn::parse_file(text) {
        Ok(file) => looker.visit_file(&file),
        // Newer syntax than the library knows, or none at all.
        Err(_) => {
            if let Ok(tokens) = text.parse() {
                looker.tokens(tokens);
            }
        }
    }
    looker.found.sort_by_key(|found| (found.line, found.column));
    looker.found
}

#[derive(Default)]
struct Looker {
    found: Vec<Found>,
}

impl Looker {
    fn add(&mut self, span: Span, rule: Rule, what: impl Into<String>) {
        let start = span.start();
        self.found.push(Found { line: start.line, column: start.column + 1, what: what.into(), rule });
    }

    /// What macros are given and made of: no more than a sequence of tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is =
            |at: usize, sign: char| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == sign);
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(ident) => {
                    let name = name_of(ident);
                    let called = is(at + 1, '!') && !is(at + 2, '=');
                    let by_parameter = at > 0 && is(at - 1, '$');
                    let opens = matches!(tokens.get(at + 1), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace);
                    let opens_with_abi = matches!(tokens.get(at + 1), Some(TokenTree::Literal(_)))
                        && matches!(tokens.get(at + 2), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace);
                    match rule_of(&MACROS, &name) {
                        _ if is_reserved(&name) => self.add(ident.span(), Rule::Reserved, name),
                        _ if is_atomic(&name) => self.add(ident.span(), Rule::Atomics, name),
                        Some(rule) if called => self.add(ident.span(), rule, format!("{name}!")),
                        _ if called && by_parameter => self.add(ident.span(), Rule::Hidden, format!("${name}!")),
                        _ if name == "extern" && (opens || opens_with_abi) => {
                            self.add(ident.span(), Rule::Extern, "extern");
                        }
                        _ if TELLING.contains(&name.as_str()) => {
                            let rule = rule_of(&MACROS, &name).or_else(|| rule_of(&ATTRIBUTES, &name));
                            self.add(ident.span(), rule.unwrap_or(Rule::Hidden), name);
                        }
                        _ => {}
                    }
                }
                TokenTree::Group(group) => {
                    let is_attribute = at > 0 && group.delimiter() == Delimiter::Bracket;
                    if is_attribute && (is(at - 1, '#') || at > 1 && is(at - 1, '!') && is(at - 2, '#')) {
                        self.attribute_tokens(group.stream());
                    }
                    self.tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    /// An attribute's inside: its name, and those within `cfg_attr(…)` and `unsafe(…)`.
    fn attribute_tokens(&mut self, tokens: TokenStream) {
        let mut begins = true;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    let name = name_of(&ident);
                    // Those that tell by themselves are found with the other tokens.
                    if begins
                        && !TELLING.contains(&name.as_str())
                        && let Some(rule) = rule_of(&ATTRIBUTES, &name)
                    {
                        self.add(ident.span(), rule, format!("#[{name}]"));
                    }
                    begins = false;
                }
                TokenTree::Group(group) => self.attribute_tokens(group.stream()),
                TokenTree::Punct(punct) if punct.as_char() == '$' => {
                    self.add(punct.span(), Rule::Hidden, "#[$…]");
                }
                TokenTree::Punct(punct) => begins = punct.as_char() == ',',
                TokenTree::Literal(_) => begins = false,
            }
        }
    }
}

/// The module `atomic`, and the types in it; and what else keeps the compiler from taking a variable for one hart's own.
fn is_atomic(name: &str) -> bool {
    let of_type = name.strip_prefix("Atomic").and_then(|rest| rest.chars().next());
    let is_volatile = name.ends_with("_volatile") || name.starts_with("volatile_") || name == "black_box";
    name == "atomic" || is_volatile || of_type.is_some_and(|next| next.is_ascii_uppercase())
}

/// A name without the mark of raw ones.
fn name_of(ident: &proc_macro2::Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

impl<'a> Visit<'a> for Looker {
    fn visit_macro(&mut self, called: &'a syn::Macro) {
        if let Some(last) = called.path.segments.last() {
            let name = name_of(&last.ident);
            if let Some(rule) = rule_of(&MACROS, &name) {
                self.add(last.ident.span(), rule, format!("{name}!"));
                return;
            }
        }
        self.visit_path(&called.path);
        self.tokens(called.tokens.clone());
    }

    fn visit_ident(&mut self, ident: &'a proc_macro2::Ident) {
        let name = name_of(ident);
        if is_reserved(&name) {
            self.add(ident.span(), Rule::Reserved, name);
        } else if is_atomic(&name) {
            self.add(ident.span(), Rule::Atomics, name);
        }
    }

    fn visit_attribute(&mut self, attribute: &'a syn::Attribute) {
        // Comments for documentation are attributes too, and hold any word.
        if attribute.path().is_ident("doc") {
            if let syn::Meta::NameValue(value) = &attribute.meta {
                self.visit_expr(&value.value);
            }
            return;
        }
        if let Some(last) = attribute.path().segments.last() {
            let name = name_of(&last.ident);
            if let Some(rule) = rule_of(&ATTRIBUTES, &name) {
                self.add(last.ident.span(), rule, format!("#[{name}]"));
            }
        }
        match &attribute.meta {
            syn::Meta::List(list) => {
                self.attribute_tokens(list.tokens.clone());
                self.tokens(list.tokens.clone());
            }
            syn::Meta::NameValue(value) => self.visit_expr(&value.value),
            syn::Meta::Path(_) => {}
        }
    }

    fn visit_item_foreign_mod(&mut self, block: &'a syn::ItemForeignMod) {
        self.add(block.abi.extern_token.span, Rule::Extern, "extern");
        visit::visit_item_foreign_mod(self, block);
    }

    fn visit_item_extern_crate(&mut self, item: &'a syn::ItemExternCrate) {
        let name = name_of(&item.ident);
        if !CRATES.contains(&name.as_str()) {
            self.add(item.ident.span(), Rule::Extern, format!("extern crate {name}"));
        }
    }

    fn visit_use_name(&mut self, item: &'a syn::UseName) {
        self.used(&item.ident);
        visit::visit_use_name(self, item);
    }

    fn visit_use_rename(&mut self, item: &'a syn::UseRename) {
        self.used(&item.ident);
        visit::visit_use_rename(self, item);
    }
}

impl Looker {
    /// A macro that is brought in under another name would be called by that.
    fn used(&mut self, ident: &proc_macro2::Ident) {
        let name = name_of(ident);
        if TELLING.contains(&name.as_str())
            && let Some(rule) = rule_of(&MACROS, &name)
        {
            self.add(ident.span(), rule, format!("use {name}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_found(text: &str, rules: &[Rule]) {
        let found = look(text);
        assert_eq!(found.iter().map(|found| found.rule).collect::<Vec<_>>(), rules, "{text}: {found:?}");
    }

    #[test]
    fn each_rule_is_kept_wherever_it_is_broken() {
        assert_found("fn f() { unsafe { core::arch::asm!(\"wfi\") } }", &[Rule::Asm]);
        assert_found("core::arch::global_asm!(\".incbin \\\"x\\\"\");", &[Rule::Asm]);
        assert_found("const X: &str = include_str!(\"/etc/passwd\");", &[Rule::Include]);
        assert_found("fn f() -> usize { { include!(\"x.rs\") } }", &[Rule::Include]);
        assert_found("const X: Option<&str> = option_env!(\"HOME\");", &[Rule::Env]);
        assert_found("#[path = \"../../driver.rs\"] mod driver;", &[Rule::Path]);
        assert_found("extern \"C\" { fn put(byte: u8); }", &[Rule::Extern]);
        assert_found("unsafe extern \"C\" { safe fn put(byte: u8); }", &[Rule::Extern]);
        assert_found("extern crate std;", &[Rule::Extern]);
        assert_found("#[unsafe(no_mangle)] fn memcpy() {}", &[Rule::Link]);
        assert_found("#[cfg_attr(all(), unsafe(link_section = \".text.entry\"))] fn f() {}", &[Rule::Link]);
        assert_found("impl X { #[export_name = \"a\"] fn f() {} }", &[Rule::Link]);
        assert_found("#[panic_handler] fn f() {}", &[Rule::Global]);
        assert_found("fn f() { abi::grader_mark!(0) }", &[Rule::Reserved]);
        assert_found("use abi::grader_mark as m;", &[Rule::Reserved]);
        assert_found("macro_rules! m { () => { abi::grader_counter!(16) } }", &[Rule::Reserved]);
        assert_found("#[doc = include_str!(\"/etc/passwd\")] fn f() {}", &[Rule::Include]);
        assert_found("use core::sync::atomic as a; static X: a::AtomicBool = todo!();", &[Rule::Atomics; 2]);
        assert_found("m!(core::sync::atomic::fence);", &[Rule::Atomics]);
        assert_found("fn f(x: *mut bool) { unsafe { while x.read_volatile() {} } }", &[Rule::Atomics]);
        assert_found("use core::ptr::write_volatile as set;", &[Rule::Atomics]);
        assert_found("fn f(x: &bool) { while *core::hint::black_box(x) {} }", &[Rule::Atomics]);
    }

    #[test]
    fn macros_hide_nothing() {
        assert_found("macro_rules! m { () => { asm!(\"nop\") } }", &[Rule::Asm]);
        assert_found("m!(include_bytes!(\"/etc/passwd\"));", &[Rule::Include]);
        assert_found(
            "macro_rules! m { ($name:ident) => { $name!(\"/etc/passwd\") } } m!(include_bytes);",
            &[Rule::Hidden, Rule::Include],
        );
        assert_found("macro_rules! m { ($m:meta) => { #[$m] fn f() {} } }", &[Rule::Hidden]);
        assert_found("m!(extern \"C\" { fn f(); });", &[Rule::Extern]);
        assert_found("use core::arch::asm as add;", &[Rule::Asm]);
        assert_found("println!(\"{}\", r#include_str!(\"x\"));", &[Rule::Include]);
    }

    #[test]
    fn what_solutions_are_made_of_is_no_breach() {
        let text = "//! asm!, include!(\"x\") and #[path] in words.\nextern crate alloc;\nuse core::ptr::NonNull;\n\
            #[derive(Debug)]\n#[cfg(test)]\n#[repr(C, align(8))]\nstruct X { path: u8, used: usize, link: u8, env: u8, include: bool }\n\
            extern \"C\" fn callback() {}\n#[inline(always)]\n#[must_use = \"it is used\"]\n\
            fn f(include: bool, used: &[u8]) -> bool { assert!(include && used.len() != 3, \"asm\"); matches!(used, [1, ..]) && !include }\n\
            macro_rules! orders { ($($order:expr),*) => { [$(1 << $order),*] } }\n";
        assert_found(text, &[]);
    }

    #[test]
    fn what_cannot_be_parsed_is_looked_at_all_the_same() {
        assert_found("fn f( { include_bytes!(\"/etc/passwd\") }} ", &[]);
        assert_found("fn f() { let x = = include_bytes!(\"/etc/passwd\"); }", &[Rule::Include]);
    }
}
