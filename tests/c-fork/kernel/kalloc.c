// Pages, each with how many page tables have it.

#include "kernel.h"

static struct free_page {
  struct free_page *next;
} *free_pages;

static u8 references[(MEMORY_END - MEMORY_START) / PAGE];

static u8 *references_of(void *page) { return &references[((u64)page - MEMORY_START) / PAGE]; }

void kinit(void) {
  for (u64 page = ((u64)end + PAGE - 1) / PAGE * PAGE; page + PAGE <= MEMORY_END; page += PAGE) {
    *references_of((void *)page) = 1;
    kfree((void *)page);
  }
}

void *kalloc(void) {
  struct free_page *page = free_pages;
  if (!page)
    return 0;
  free_pages = page->next;
  *references_of(page) = 1;
  return page;
}

void share(void *page) { (*references_of(page))++; }

int is_shared(void *page) { return *references_of(page) > 1; }

void kfree(void *page) {
  if (--*references_of(page) > 0)
    return;
  struct free_page *freed = page;
  freed->next = free_pages;
  free_pages = freed;
}
