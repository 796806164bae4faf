// One list of pages and one lock a hart; a hart whose list is empty steals half of what another one has.

#include "kernel.h"

struct page {
  struct page *next;
};

static struct {
  struct spinlock lock;
  struct page *first;
} lists[HARTS];

void kinit(void) {
  for (int hart = 0; hart < HARTS; hart++)
    initlock(&lists[hart].lock, "kmem");
  for (u64 page = ((u64)end + PAGE - 1) / PAGE * PAGE; page + PAGE <= MEMORY_END; page += PAGE)
    kfree((void *)page);
}

void kfree(void *address) {
  struct page *page = address;
  if ((u64)page % PAGE || (char *)page < end || (u64)page >= MEMORY_END)
    panic("kfree");
  memset(page, 1, 64);
  push_off();
  u64 hart = hart_number();
  acquire(&lists[hart].lock);
  page->next = lists[hart].first;
  lists[hart].first = page;
  release(&lists[hart].lock);
  pop_off();
}

// The first page of the other hart's list goes to whoever asks, and half of the others to the list of `hart`.
static struct page *steal(u64 hart, u64 from) {
  acquire(&lists[from].lock);
  struct page *first = lists[from].first, *last = first;
  u64 count = 0;
  for (struct page *page = first; page; page = page->next)
    count++;
  for (u64 more = 1; more < (count + 1) / 2; more++)
    last = last->next;
  if (first)
    lists[from].first = last->next;
  release(&lists[from].lock);
  if (first && first != last) {
    acquire(&lists[hart].lock);
    last->next = lists[hart].first;
    lists[hart].first = first->next;
    release(&lists[hart].lock);
  }
  return first;
}

void *kalloc(void) {
  push_off();
  u64 hart = hart_number();
  acquire(&lists[hart].lock);
  struct page *page = lists[hart].first;
  if (page)
    lists[hart].first = page->next;
  release(&lists[hart].lock);
  for (u64 other = 1; !page && other < HARTS; other++)
    page = steal(hart, (hart + other) % HARTS);
  pop_off();
  if (page)
    memset(page, 5, 64);
  return page;
}
