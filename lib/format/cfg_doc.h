/* SPDX-License-Identifier: MIT */
#ifndef QD_CFG_DOC_H
#define QD_CFG_DOC_H

#include "base/arena.h"
#include "format/cfg.h"

/* Inside of struct qd_cfg, shared by cfg.c and cfg_parse.c only. */

enum {
    QD_CFG_BYTES = 16 << 20, /* of a file */
    QD_CFG_SECTIONS = 100000,
    QD_CFG_PAIRS = 1000000,
    QD_CFG_SECTION_PAIRS = 256, /* bounds the search for duplicates */
};

enum qd_cfg_kind {
    QD_CFG_OTHER,  /* any number of lines without meaning: comments, blank and ignored lines */
    QD_CFG_HEADER, /* [name] */
    QD_CFG_PAIR,   /* key=value */
};

/* A piece of the text, in file order. */
struct qd_cfg_line {
    struct qd_cfg_line *next;
    const char *text; /* with line end; only the last line may lack it */
    size_t len;
    const char *key, *value; /* PAIR: both; HEADER: key is the section's name */
    enum qd_cfg_kind kind;
    int number, npairs; /* npairs: HEADER, PAIR lines up to the next header */
};

struct qd_cfg_sec {
    struct qd_cfg_section pub;
    struct qd_cfg_pair *pair; /* room for 'room', pub.npairs in use */
    struct qd_cfg_line **at;  /* the line of each pair */
    struct qd_cfg_line *head;
    int room;
};

struct qd_cfg {
    struct qd_arena arena; /* everything but 'sec' */
    const char *name;
    bool bom;
    struct qd_cfg_line *first, *last; /* last: while reading only */
    struct qd_cfg_sec *sec;
    int nsec;
};

/* An empty document. */
struct qd_cfg *qd_cfg_doc_new(const char *name, struct qd_error *err) QD_MUSTCHECK;
/* Append a copy of 'line'. */
struct qd_cfg_line *qd_cfg_doc_add(
    struct qd_cfg *cfg, const struct qd_cfg_line *line, struct qd_error *err) QD_MUSTCHECK;
/* Build the sections from the lines; 'warn' reports duplicate keys. */
int qd_cfg_doc_index(struct qd_cfg *cfg, bool warn, struct qd_error *err) QD_MUSTCHECK;

/* The text of len bytes without blanks and without an inline comment, in the arena. */
char *qd_cfg_strip(
    struct qd_arena *a, const char *s, size_t len, struct qd_error *err) QD_MUSTCHECK;
static inline bool qd_cfg_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

#endif
