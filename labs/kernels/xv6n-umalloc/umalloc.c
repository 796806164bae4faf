// Boundary tags (Knuth, The Art of Computer Programming, vol. 1, 2.5) and a list of free blocks for each power of two.

#include "umalloc.h"
#include <stdint.h>
#include <unistd.h>

// A block's size, a multiple of 16, and in its lowest bits whether it and the block before it are in use. The payload
// follows at a multiple of 16. A free block has its size again in its last word.
struct block {
  size_t tag;
  struct block *next, *previous;
};

enum { USED = 1, USED_BEFORE = 2, FLAGS = 15, TAG = sizeof(size_t), SMALLEST = 32, CLASSES = 48, CHUNK = 256 };

static struct block *lists[CLASSES];
// The tag after the last block; in use, and of no size.
static struct block *end;

static size_t size_of(struct block *block) { return block->tag & ~(size_t)FLAGS; }

static struct block *after(struct block *block) { return (struct block *)((char *)block + size_of(block)); }

static size_t *last_word(struct block *block) { return (size_t *)after(block) - 1; }

static int class_of(size_t size) { return 63 - __builtin_clzl(size); }

static void put(struct block *block) {
  struct block **list = &lists[class_of(size_of(block))];
  block->next = *list;
  block->previous = 0;
  if (*list)
    (*list)->previous = block;
  *list = block;
  *last_word(block) = size_of(block);
  after(block)->tag &= ~(size_t)USED_BEFORE;
}

static void take(struct block *block) {
  if (block->previous)
    block->previous->next = block->next;
  else
    lists[class_of(size_of(block))] = block->next;
  if (block->next)
    block->next->previous = block->previous;
}

// Makes one free block of this, which is on no list, and its free neighbours.
static struct block *merge(struct block *block) {
  size_t size = size_of(block), before = block->tag & USED_BEFORE;
  struct block *next = after(block);
  if (!(next->tag & USED)) {
    take(next);
    size += size_of(next);
  }
  if (!before) {
    block = (struct block *)((char *)block - ((size_t *)block)[-1]);
    take(block);
    size += size_of(block);
    before = block->tag & USED_BEFORE;
  }
  block->tag = size | before;
  return block;
}

static int begin(void) {
  char *start = sbrk(0);
  size_t missing = (TAG - (uintptr_t)start) % 16;
  if (sbrk(missing + TAG) == (void *)-1)
    return 0;
  end = (struct block *)(start + missing);
  end->tag = USED | USED_BEFORE;
  return 1;
}

// A free block of at least that size at the end of the heap, on no list.
static struct block *grow(size_t size) {
  size_t there = end->tag & USED_BEFORE ? 0 : ((size_t *)end)[-1];
  size_t more = (size - there + CHUNK - 1) / CHUNK * CHUNK;
  if (sbrk(more) == (void *)-1) {
    more = (size - there + 15) / 16 * 16;
    if (sbrk(more) == (void *)-1)
      return 0;
  }
  struct block *block = end;
  block->tag = more | (end->tag & USED_BEFORE);
  end = after(block);
  end->tag = USED;
  return merge(block);
}

// The smallest of the first class that has one that is large enough: those of later classes are all larger.
static struct block *find(size_t size) {
  for (int class = class_of(size); class < CLASSES; class++) {
    struct block *best = 0;
    for (struct block *block = lists[class]; block; block = block->next)
      if (size_of(block) >= size && (!best || size_of(block) < size_of(best)))
        best = block;
    if (best) {
      take(best);
      return best;
    }
  }
  return 0;
}

void umalloc_init(void) {}

void *umalloc(size_t wanted) {
  if (wanted == 0 || wanted > (size_t)1 << 40 || (!end && !begin()))
    return 0;
  size_t size = (wanted + TAG + 15) / 16 * 16;
  size = size < SMALLEST ? SMALLEST : size;
  struct block *block = find(size);
  if (!block)
    block = grow(size);
  if (!block)
    return 0;
  size_t rest = size_of(block) - size, before = block->tag & USED_BEFORE;
  if (rest >= SMALLEST) {
    block->tag = size | USED | before;
    after(block)->tag = rest | USED_BEFORE;
    put(after(block));
  } else {
    block->tag |= USED;
    after(block)->tag |= USED_BEFORE;
  }
  return (char *)block + TAG;
}

void ufree(void *payload) {
  if (!payload)
    return;
  struct block *block = (struct block *)((char *)payload - TAG);
  block->tag &= ~(size_t)USED;
  put(merge(block));
}
