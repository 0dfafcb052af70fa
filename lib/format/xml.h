/* SPDX-License-Identifier: MIT */
#ifndef QD_XML_H
#define QD_XML_H

#include "base/buf.h"

/*
 * A strict XML reader that hands out one element after the other and builds no tree.  The caller
 * says what it expects; the first fault is kept (file:line: reason), later calls give NULL or "",
 * so that loops end by themselves and one check at the end is enough:
 *
 *     struct qd_xml x;
 *     if (qd_xml_load(&x, path, err) < 0)
 *         return -1;
 *     tag = qd_xml_child(&x);                     the root
 *     while ((tag = qd_xml_child(&x)))
 *         if (strcmp(tag, "name") == 0)
 *             name = qd_xml_text(&x);
 *         else if (strcmp(tag, "size") == 0)
 *             read_size(&x);                      another such loop
 *         else
 *             qd_xml_skip(&x);
 *     tag = qd_xml_child(&x);                     NULL: nothing follows the root
 *     return qd_xml_close(&x);
 *
 * Attributes, comments and processing instructions are checked and skipped.  An element has
 * children or text, not both.  The five entities of XML and character references are known;
 * declarations of others are not supported, which also keeps short files from growing large.
 * Bytes above 127 are taken as they are.
 */
enum { QD_XML_DEPTH = 64 };           /* nested elements, at most */
#define QD_XML_MAX ((size_t)64 << 20) /* bytes of a file, at most */

struct qd_xml {
    const char *name; /* for messages */
    const char *p, *end;
    int line, depth;
    struct {
        const char *name;
        size_t len;
    } open[QD_XML_DEPTH]; /* the elements that are open */
    bool empty;           /* the innermost is written <x/> */
    bool rooted;          /* the root element was seen */
    bool failed;
    struct qd_error *err;
    struct qd_buf tag, str; /* the last name and text */
    struct qd_buf file;     /* what qd_xml_load() read */
};

/* Begin reading the file 'path', or text in memory (borrowed).  After 0 the caller must call
 * qd_xml_close(); after -1 there is nothing to close. */
int qd_xml_load(struct qd_xml *x, const char *path, struct qd_error *err) QD_MUSTCHECK;
void qd_xml_open(
    struct qd_xml *x, const char *text, size_t len, const char *name, struct qd_error *err);
/* Free everything.  0 when the text was one complete document. */
int qd_xml_close(struct qd_xml *x) QD_MUSTCHECK;

/* Enter the next child of the element that is open (at first: the root) and give its name, valid
 * until the next call.  NULL when there is none: the element is left then. */
const char *qd_xml_child(struct qd_xml *x);
/* The text of the element that was entered last, without blanks around it, and leave it.  Valid
 * until the next call. */
const char *qd_xml_text(struct qd_xml *x);
/* Its text as a number. */
double qd_xml_number(struct qd_xml *x);
/* Leave the element that was entered last, whatever is in it. */
void qd_xml_skip(struct qd_xml *x);
/* A fault that the caller found; returns -1. */
int qd_xml_fault(struct qd_xml *x, const char *fmt, ...) QD_PRINTF(2, 3);

#endif
