// First fit: free extents in a list in order of address, each with its length in its first page.

#include "kernel.h"

struct extent {
  u64 pages;
  struct extent *next;
};

static struct extent *first;

void kinit(void) {
  u64 start = ((u64)end + PAGE - 1) / PAGE * PAGE;
  first = (struct extent *)start;
  first->pages = (MEMORY_END - start) / PAGE;
  first->next = 0;
}

static struct extent **find(u64 pages) {
  for (struct extent **link = &first; *link; link = &(*link)->next)
    if ((*link)->pages >= pages)
      return link;
  return 0;
}

void *kallocn(u64 pages) {
  struct extent **link = pages ? find(pages) : 0;
  if (!link)
    return 0;
  struct extent *found = *link;
  if (found->pages == pages) {
    *link = found->next;
  } else {
    struct extent *rest = (struct extent *)((char *)found + pages * PAGE);
    rest->pages = found->pages - pages;
    rest->next = found->next;
    *link = rest;
  }
  return found;
}

static int touches(struct extent *one, struct extent *next) { return (char *)one + one->pages * PAGE == (char *)next; }

void kfreen(void *address, u64 pages) {
  struct extent *freed = address, *before = 0, *after = first;
  while (after && after < freed)
    before = after, after = after->next;
  freed->pages = pages;
  freed->next = after;
  if (after && touches(freed, after)) {
    freed->pages += after->pages;
    freed->next = after->next;
  }
  if (!before) {
    first = freed;
  } else if (touches(before, freed)) {
    before->pages += freed->pages;
    before->next = freed->next;
  } else {
    before->next = freed;
  }
}
