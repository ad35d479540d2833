/* pages.c - see pages.h. */
#include "text/pages.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20) /* a multiple of every page: 4, 16 or 64 KiB */

static size_t page_bytes(void) {
    long n = sysconf(_SC_PAGESIZE);
    return n > 0 ? (size_t)n : (size_t)64 << 10;
}

static size_t whole_pages(size_t n) {
    size_t page = page_bytes();
    return (n + page - 1) / page * page;
}

/* Mapped from a huge page's border on; what is mapped before and behind it is given back. */
void *pages_new(size_t n) {
    size_t slack = n >= HUGE_PAGE ? HUGE_PAGE : 0;
    if (n == 0 || n > SIZE_MAX - 2 * HUGE_PAGE) return NULL;
    size_t whole = whole_pages(n) + slack;
    char *memory = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    if (!slack) return memory;
    size_t before = (HUGE_PAGE - (uintptr_t)memory % HUGE_PAGE) % HUGE_PAGE;
    if (before) munmap(memory, before);
    if (slack > before) munmap(memory + whole - (slack - before), slack - before);
#ifdef MADV_HUGEPAGE
    madvise(memory + before, n, MADV_HUGEPAGE);
#endif
    return memory + before;
}

void pages_free(void *pages, size_t n) {
    if (pages) munmap(pages, whole_pages(n));
}

void pages_touch(void *memory, size_t n) {
#ifdef MADV_POPULATE_WRITE
    uintptr_t page = page_bytes();
    uintptr_t begin = (uintptr_t)memory / page * page + page, end = ((uintptr_t)memory + n) / page * page;
    if (begin < end) madvise((void *)begin, end - begin, MADV_POPULATE_WRITE);
#else
    (void)memory;
    (void)n;
#endif
}
