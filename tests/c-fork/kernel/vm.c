// Address spaces, whose pages a fork shares until one of the two writes to them.

#include "kernel.h"

u64 *walk(u64 *table, u64 address, int make) {
  if (address >= MAXVA)
    panic("walk");
  for (int level = 2; level > 0; level--) {
    u64 *entry = &table[address >> (12 + 9 * level) & 0x1ff];
    if (*entry & PTE_V) {
      table = (u64 *)PTE_TO_PA(*entry);
      continue;
    }
    if (!make || !(table = kalloc()))
      return 0;
    memset(table, 0, PAGE);
    *entry = PA_TO_PTE(table) | PTE_V;
  }
  return &table[address >> 12 & 0x1ff];
}

int map(u64 *table, u64 address, void *page, u64 flags) {
  u64 *entry = walk(table, address, 1);
  if (!entry)
    return -1;
  *entry = PA_TO_PTE(page) | flags | PTE_V | 0xc0;
  return 0;
}

// The first and third gigabytes, with devices and the kernel, lie in every one.
u64 *make_space(void) {
  u64 *table = kalloc();
  if (!table)
    return 0;
  memset(table, 0, PAGE);
  table[0] = PTE_V | PTE_R | PTE_W | 0xc0;
  table[2] = PA_TO_PTE(MEMORY_START) | PTE_V | PTE_R | PTE_W | PTE_X | 0xc0;
  return table;
}

void free_space(u64 *table, u64 size) {
  for (u64 address = USER_START; address < size; address += PAGE) {
    u64 *entry = walk(table, address, 0);
    if (entry && *entry & PTE_V)
      kfree((void *)PTE_TO_PA(*entry));
  }
  u64 *middle = (u64 *)PTE_TO_PA(table[1]);
  for (int each = 0; table[1] & PTE_V && each < 512; each++)
    if (middle[each] & PTE_V)
      kfree((void *)PTE_TO_PA(middle[each]));
  if (table[1] & PTE_V)
    kfree(middle);
  kfree(table);
}

int copy_space(u64 *from, u64 *to, u64 size) {
  for (u64 address = USER_START; address < size; address += PAGE) {
    u64 *entry = walk(from, address, 0);
    if (!entry || !(*entry & PTE_V))
      continue;
    u64 *copy = walk(to, address, 1);
    if (!copy)
      return -1;
    if (*entry & PTE_W)
      *entry = (*entry & ~(u64)PTE_W) | PTE_COW;
    *copy = *entry;
    share((void *)PTE_TO_PA(*entry));
  }
  return 0;
}

// Gives a process a page of its own where it may write; -1 where it may not, or there is none.
int write_fault(u64 *table, u64 address) {
  if (address >= MAXVA)
    return -1;
  u64 *entry = walk(table, address, 0);
  if (!entry || (*entry & (PTE_V | PTE_U | PTE_COW)) != (PTE_V | PTE_U | PTE_COW))
    return -1;
  char *page = (char *)PTE_TO_PA(*entry);
  if (is_shared(page)) {
    char *copy = kalloc();
    if (!copy)
      return -1;
    memcpy(copy, page, PAGE);
    kfree(page);
    page = copy;
  }
  u64 flags = (*entry & 0x3ff & ~(u64)PTE_COW) | PTE_W;
  *entry = PA_TO_PTE(page) | flags;
  asm volatile("sfence.vma" ::: "memory");
  return 0;
}

int copyout(u64 *table, u64 to, char *from, u64 bytes) {
  while (bytes > 0) {
    if (to >= MAXVA)
      return -1;
    u64 *entry = walk(table, to, 0);
    if (!entry || (*entry & (PTE_V | PTE_U)) != (PTE_V | PTE_U))
      return -1;
    if (!(*entry & PTE_W) && write_fault(table, to) < 0)
      return -1;
    u64 left = PAGE - to % PAGE, count = bytes < left ? bytes : left;
    memcpy((char *)PTE_TO_PA(*entry) + to % PAGE, from, count);
    to += count;
    from += count;
    bytes -= count;
  }
  return 0;
}
