//! What trusted code looks like before anybody could touch it: the code of an image, and the marks in it.

use object::{Object as _, ObjectSection as _, ObjectSegment as _, SegmentFlags};

/// The section that marks stand in.
const SECTION: &str = ".grader_marks";

/// Whose code it is, and so how its addresses are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The kernel's: physical addresses.
    Kernel,
    /// A program's: virtual ones.
    Program,
}

/// Code at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Whose it is.
    pub owner: Owner,
    /// The first byte's address.
    pub address: u64,
    /// The code.
    pub content: Vec<u8>,
}

/// An instruction that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Its address.
    pub address: u64,
    /// What passing it means: [`abi::mark`].
    pub kind: u64,
    /// The place of its segment among the image's: programs lie at the same addresses.
    pub segment: u64,
}

/// All code that a machine may run, and the marks in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The code.
    pub segments: Vec<Segment>,
    /// The marks, by address.
    pub marks: Vec<Mark>,
    /// Whether the code of all programs is here, rather than on some disk.
    pub programs_are_known: bool,
}

impl Image {
    /// The code of a kernel and of its programs, if those are known; `None` where the kernel has no marks, so that
    /// nothing can be witnessed.
    ///
    /// # Errors
    /// When one of them is no ELF file.
    pub fn of<'a>(
        kernel: &[u8],
        programs: Option<impl IntoIterator<Item = &'a [u8]>>,
    ) -> Result<Option<Self>, object::Error> {
        let mut image = Self { programs_are_known: programs.is_some(), ..Self::default() };
        image.add(Owner::Kernel, kernel)?;
        if image.marks.is_empty() {
            return Ok(None);
        }
        programs.into_iter().flatten().try_for_each(|program| image.add(Owner::Program, program))?;
        image.marks.sort_unstable();
        image.marks.dedup();
        Ok(Some(image))
    }

    fn add(&mut self, owner: Owner, elf: &[u8]) -> Result<(), object::Error> {
        let file = object::File::parse(elf)?;
        let mut code = Vec::new();
        for segment in file.segments() {
            let SegmentFlags::Elf { p_flags, .. } = segment.flags() else { continue };
            if p_flags.contains(object::elf::PF_X) {
                code.push(Segment { owner, address: segment.address(), content: segment.data()?.to_vec() });
            }
        }
        if let Some(section) = file.section_by_name(SECTION) {
            let words =
                section.data()?.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
            let words: Vec<u64> = words.collect();
            // Marks of functions that the linker has left out are at no address.
            let first = self.segments.len();
            let marks = words.chunks_exact(2).filter_map(|pair| {
                let segment = first + code.iter().position(|segment| segment.contains(pair[0]))?;
                Some(Mark { address: pair[0], kind: pair[1], segment: segment as u64 })
            });
            self.marks.extend(marks);
        }
        self.segments.extend(code);
        Ok(())
    }
}

impl Segment {
    fn contains(&self, address: u64) -> bool {
        address.checked_sub(self.address).is_some_and(|within| within < self.content.len() as u64)
    }
}
