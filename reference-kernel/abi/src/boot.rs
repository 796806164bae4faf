//! What the harness tells the kernel at boot, as words in the device tree's `bootargs`.
//!
//! `pages=lab arena=4099+3,1500+17 tick=7000 deadline=2000000000`

use core::fmt;

/// Where the kernel's own pages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PageSource {
    /// A plain list that no submission touches, so that a half-written solution still boots.
    #[default]
    Trusted,
    /// The lab's allocator, which then carries the whole kernel.
    Lab,
    /// Page lists of each hart over the buddy allocator, and object caches over those for the kernel's heap: what a
    /// kernel stands on that is built for no lab.
    Stack,
}

impl PageSource {
    /// Every source, by the word that stands for it.
    const WORDS: [(&str, Self); 3] = [("trusted", Self::Trusted), ("lab", Self::Lab), ("stack", Self::Stack)];

    /// The word that stands for it.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, source)| *source == self).map_or("", |(word, _)| word)
    }
}

/// One region of the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArenaRegion {
    /// Length in pages.
    pub pages: u64,
    /// Pages between a boundary of the largest block (2^[`crate::page::MAX_ORDER`] pages) and the region's start.
    pub skew: u64,
}

/// The most regions that an arena can have.
pub const MAX_ARENA_REGIONS: usize = 4;

/// The boot options, with defaults for what is not said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// `pages=trusted|lab|stack`
    pub pages: PageSource,
    /// `arena=PAGES+SKEW,…`: the regions of [`crate::page::Pool::Arena`]; none means that there is no arena.
    pub arena: [Option<ArenaRegion>; MAX_ARENA_REGIONS],
    /// `heap=trusted|lab`: where the kernel's own objects come from, as `pages` says it of pages.
    pub heap: PageSource,
    /// `trace=objects`: object caches over the arena are traced, and no pool of pages is.
    pub objects: bool,
    /// `trace=off`: no pool is traced, so that programs may ask for more pages than a trace holds.
    pub untraced: bool,
    /// `tick=NANOSECONDS` between timer interrupts of a hart; the kernel's own choice where it is not said.
    pub tick: Option<u64>,
    /// `deadline=NANOSECONDS` of guest time, after which the machine says where each hart is and powers off.
    pub deadline: Option<u64>,
}

/// A word of the boot arguments that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadWord<'a>(pub &'a str);

impl fmt::Display for BadWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot argument {:?} makes no sense", self.0)
    }
}

impl Options {
    /// Reads boot arguments.
    ///
    /// # Errors
    /// The first word that is unknown or has a value out of range.
    pub fn parse(words: &str) -> Result<Self, BadWord<'_>> {
        Self::default().with(words)
    }

    /// Reads boot arguments over options that hold where nothing else is said.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse).
    pub fn with(self, words: &str) -> Result<Self, BadWord<'_>> {
        let mut options = self;
        for word in words.split_ascii_whitespace() {
            options.parse_word(word).ok_or(BadWord(word))?;
        }
        Ok(options)
    }

    fn parse_word(&mut self, word: &str) -> Option<()> {
        let (key, value) = word.split_once('=')?;
        match key {
            "pages" => {
                self.pages = PageSource::WORDS.iter().find(|(word, _)| *word == value)?.1;
            }
            "arena" => {
                for (index, region) in value.split(',').enumerate() {
                    let (pages, skew) = region.split_once('+').unwrap_or((region, "0"));
                    let region = ArenaRegion { pages: pages.parse().ok()?, skew: skew.parse().ok()? };
                    *self.arena.get_mut(index)? = Some(region);
                }
            }
            "heap" => {
                self.heap = match value {
                    "trusted" => PageSource::Trusted,
                    "lab" => PageSource::Lab,
                    _ => return None,
                }
            }
            "trace" if value == "objects" => self.objects = true,
            "trace" if value == "off" => self.untraced = true,
            "tick" => self.tick = Some(value.parse().ok()?),
            "deadline" => self.deadline = Some(value.parse().ok()?),
            _ => return None,
        }
        Some(())
    }

    /// The regions of the arena.
    pub fn arena(&self) -> impl Iterator<Item = ArenaRegion> + '_ {
        self.arena.iter().flatten().copied()
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pages={}", self.pages.word())?;
        for (index, region) in self.arena().enumerate() {
            let lead = if index == 0 { " arena=" } else { "," };
            write!(f, "{lead}{}+{}", region.pages, region.skew)?;
        }
        if self.heap == PageSource::Lab {
            f.write_str(" heap=lab")?;
        }
        if self.objects {
            f.write_str(" trace=objects")?;
        }
        if self.untraced {
            f.write_str(" trace=off")?;
        }
        if let Some(tick) = self.tick {
            write!(f, " tick={tick}")?;
        }
        if let Some(deadline) = self.deadline {
            write!(f, " deadline={deadline}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn what_the_harness_writes_the_kernel_reads() {
        let text = "pages=lab arena=4099+3,1500+17 heap=lab trace=objects trace=off tick=7000 deadline=2000000000";
        assert_eq!(Options::parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn every_source_of_pages_has_a_word_of_its_own() {
        for pages in [PageSource::Trusted, PageSource::Lab, PageSource::Stack] {
            let options = Options { pages, ..Options::default() };
            assert_eq!(Options::parse(&options.to_string()), Ok(options));
        }
    }

    #[test]
    fn a_word_that_makes_no_sense_is_named() {
        for word in ["pages=none", "heap=big", "arena=1,2,3,4,5", "tick=soon", "trace=on", "colour=red", "bare"] {
            assert_eq!(Options::parse(word), Err(BadWord(word)));
        }
    }
}
