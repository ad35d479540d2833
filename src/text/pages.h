/* pages.h - memory for large tables that are visited at random. In huge pages where the system has them: else the walk
 * to the page of an entry takes as long as the entry itself. */
#ifndef TALC_TEXT_PAGES_H
#define TALC_TEXT_PAGES_H

#include <stddef.h>

/* n bytes of zeros, on a cache line of their own; memory is taken only where they are used. NULL: out of memory. */
void *pages_new(size_t n);
void pages_free(void *pages, size_t n); /* NULL is fine */

/* Has the system give the memory now, where it can, that would else be given page by page when it is first written to.
 * What it holds stays. */
void pages_touch(void *memory, size_t n);

#endif
