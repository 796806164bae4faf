//! Buddy allocation over a complete binary tree for each largest block, with no lists and no links in free pages.
//!
//! A node stands for a block. It keeps the set of orders of which a free block lies in its subtree, itself included,
//! and a flag that says that it was handed out itself. The way down to a free block of an order follows the sets, and
//! the way back up puts them right; two children that are free as a whole make a parent that is.

use core::ptr::{self, NonNull};

use super::order::{Block, LARGEST, Order};
use super::{Extent, MAX_REGIONS, PAGE_SIZE, PageAllocator, PageError, Region, Statistics};

/// Nodes of a tree, the unused one with number zero included: node 1 is the root, nodes 2n and 2n + 1 are below node n.
const NODES: usize = 2 * LARGEST;

/// A buddy allocator.
#[derive(Debug)]
pub struct Buddy {
    spans: [Span; MAX_REGIONS],
    count: usize,
}

// SAFETY: the pointers lead into regions that, by the contract of `add_region`, nothing else uses.
unsafe impl Send for Buddy {}

/// The free orders below a node, and whether the node's block is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
struct Node(u16);

impl Node {
    const IN_USE: Self = Self(1 << 15);

    /// A block of this order that is free as a whole.
    fn free(order: Order) -> Self {
        Self(1 << order.index())
    }

    /// The smallest order of a free block that is at least this one.
    fn smallest(self, order: Order) -> Option<Order> {
        Order::all().skip(order.index()).find(|&order| self.has(order))
    }

    fn has(self, order: Order) -> bool {
        self.0 & Self::free(order).0 != 0
    }
}

#[derive(Debug, Clone, Copy)]
struct Span {
    /// The number of the first page that can be handed out.
    first: usize,
    pages: usize,
    /// That page.
    memory: *mut u8,
    /// The number of the page that the first tree begins with.
    base: usize,
    trees: usize,
    nodes: *mut Node,
}

impl Span {
    const EMPTY: Self = Self { first: 0, pages: 0, memory: ptr::null_mut(), base: 0, trees: 0, nodes: ptr::null_mut() };

    fn node(&self, tree: usize, number: usize) -> *mut Node {
        self.nodes.wrapping_add(tree * NODES + number)
    }

    fn read(&self, tree: usize, number: usize) -> Node {
        // SAFETY: callers stay within the trees.
        unsafe { self.node(tree, number).read() }
    }

    fn write(&self, tree: usize, number: usize, node: Node) {
        // SAFETY: callers stay within the trees.
        unsafe { self.node(tree, number).write(node) };
    }

    /// The tree and number of a block's node.
    fn place(&self, block: Block) -> (usize, usize) {
        let page = block.first() - self.base;
        (page / LARGEST, (LARGEST + page % LARGEST) >> block.order().index())
    }

    /// Puts the sets above a node right.
    fn climb(&self, tree: usize, mut number: usize, mut order: Order) {
        while number > 1
            && let Some(larger) = order.larger()
        {
            let (one, other) = (self.read(tree, number), self.read(tree, number ^ 1));
            let whole = Node::free(order);
            let parent = if one == whole && other == whole {
                Node::free(larger)
            } else {
                // A child that is in use is no order that could be had.
                Node((one.0 | other.0) & !Node::IN_USE.0)
            };
            number /= 2;
            order = larger;
            self.write(tree, number, parent);
        }
    }

    /// Takes a free block of exactly `found`, of which one is in the tree, and splits it down to `order`.
    fn take(&self, tree: usize, found: Order, order: Order) -> usize {
        let (mut number, mut at) = (1, Order::LARGEST);
        while at > found {
            let Some(smaller) = at.smaller() else { break };
            number *= 2;
            number += usize::from(!self.read(tree, number).has(found));
            at = smaller;
        }
        // From here down all is free, and the sets below are left from before.
        while at > order {
            let Some(smaller) = at.smaller() else { break };
            number *= 2;
            self.write(tree, number, Node::free(smaller));
            self.write(tree, number + 1, Node::free(smaller));
            at = smaller;
        }
        self.write(tree, number, Node::IN_USE);
        self.climb(tree, number, order);
        let page = (number << order.index()) - LARGEST;
        self.base + tree * LARGEST + page
    }

    #[cold]
    fn refusal(&self, page: usize) -> PageError {
        // From the root down, since what is below a block that is whole is left from before.
        for order in Order::all().rev() {
            let block = Block::around(page, order);
            let (tree, number) = self.place(block);
            match self.read(tree, number) {
                Node::IN_USE if block.first() == page => return PageError::WrongSize,
                Node::IN_USE => return PageError::NotAllocated,
                node if node == Node::free(order) => return PageError::Twice,
                _ => {}
            }
        }
        PageError::NotAllocated
    }

    /// Puts a block that is in use back, or one that is new.
    fn release(&self, block: Block) {
        let (tree, number) = self.place(block);
        self.write(tree, number, Node::free(block.order()));
        self.climb(tree, number, block.order());
    }

    /// Whether a node says this of a block, and nothing above it is free or in use as a whole, which would make the
    /// node one that is left from before.
    fn says(&self, block: Block, what: Node) -> bool {
        let (tree, mut number) = self.place(block);
        let mut order = block.order();
        if self.read(tree, number) != what {
            return false;
        }
        while let Some(larger) = order.larger() {
            (number, order) = (number / 2, larger);
            let above = self.read(tree, number);
            if above == Node::IN_USE || above == Node::free(order) {
                return false;
            }
        }
        true
    }

    fn is_in_use(&self, block: Block) -> bool {
        self.says(block, Node::IN_USE)
    }

    fn is_free(&self, block: Block) -> bool {
        self.says(block, Node::free(block.order()))
    }
}

impl Buddy {
    /// An allocator without a page.
    pub const fn new() -> Self {
        Self { spans: [Span::EMPTY; MAX_REGIONS], count: 0 }
    }
}

impl Default for Buddy {
    fn default() -> Self {
        Self::new()
    }
}

impl PageAllocator for Buddy {
    unsafe fn add_region(&mut self, region: Region) -> Result<Extent, PageError> {
        let address = region.start.addr().get();
        if !address.is_multiple_of(PAGE_SIZE) {
            return Err(PageError::Misaligned);
        }
        let start = address / PAGE_SIZE;
        let base = start / LARGEST * LARGEST;
        let trees = (start + region.pages - base).div_ceil(LARGEST);
        let kept = (trees * NODES * size_of::<Node>()).div_ceil(PAGE_SIZE);
        if region.pages <= kept || self.count == MAX_REGIONS {
            return Err(PageError::Exhausted);
        }
        let nodes = region.start.as_ptr().cast::<Node>();
        // SAFETY: the region is ours, and its first `kept` pages have room for the trees.
        let memory = unsafe {
            nodes.write_bytes(0, trees * NODES);
            region.start.as_ptr().add(kept * PAGE_SIZE)
        };
        let (first, pages) = (start + kept, region.pages - kept);
        let span = Span { first, pages, memory, base, trees, nodes };
        let mut page = first;
        while let Some(block) = Block::largest_at(page, first + pages - page) {
            span.release(block);
            page += block.order().pages();
        }
        self.spans[self.count] = span;
        self.count += 1;
        Ok(Extent { start: first * PAGE_SIZE, pages })
    }

    fn allocate(&mut self, pages: usize) -> Result<NonNull<u8>, PageError> {
        let order = Order::holding(pages)?;
        let spans = &self.spans[..self.count];
        let roots = spans.iter().flat_map(|span| (0..span.trees).map(move |tree| (span, tree)));
        let found = roots.filter_map(|(span, tree)| Some((span.read(tree, 1).smallest(order)?, span, tree)));
        let (smallest, span, tree) = found.min_by_key(|found| found.0).ok_or(PageError::Exhausted)?;
        let page = span.take(tree, smallest, order);
        // SAFETY: the block lies in the region.
        Ok(unsafe { NonNull::new_unchecked(span.memory.add((page - span.first) * PAGE_SIZE)) })
    }

    fn free(&mut self, start: NonNull<u8>, pages: usize) -> Result<(), PageError> {
        let address = start.addr().get();
        let order = match Order::holding(pages) {
            Err(PageError::Zero) => return Err(PageError::Zero),
            order => order.ok(),
        };
        if !address.is_multiple_of(PAGE_SIZE) {
            return Err(PageError::Misaligned);
        }
        let page = address / PAGE_SIZE;
        let holds = |span: &&Span| page.wrapping_sub(span.first) < span.pages;
        let span = self.spans[..self.count].iter().find(holds).ok_or(PageError::Outside)?;
        let block = order.map(|order| Block::around(page, order)).filter(|block| block.first() == page);
        match block.filter(|&block| span.is_in_use(block)) {
            Some(block) => {
                span.release(block);
                Ok(())
            }
            None => Err(span.refusal(page)),
        }
    }

    fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::default();
        for span in &self.spans[..self.count] {
            statistics.managed_pages += span.pages;
            for order in Order::all() {
                let per_tree = LARGEST / order.pages();
                let blocks = (0..span.trees * per_tree).map(|block| span.base + block * order.pages());
                let free = blocks.filter(|&page| span.is_free(Block::around(page, order))).count();
                statistics.free_blocks[order.index()] += free;
                statistics.free_pages += free * order.pages();
            }
        }
        statistics
    }
}
