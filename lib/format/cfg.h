/* SPDX-License-Identifier: MIT */
#ifndef QD_CFG_H
#define QD_CFG_H

#include "base/buf.h"

/*
 * The cfg as an ordered document.  Section 0 is [net]; layer i is section i + 1.  Every physical
 * line is kept, so that writing back changes only what was edited.
 */
struct qd_cfg_pair {
    const char *key, *value; /* blanks and inline comment stripped */
    int line;                /* 1-based; 0: came from an override or an edit */
};
struct qd_cfg_section {
    const char *name; /* "convolutional": as written, without brackets */
    int line;
    int npairs;
    const struct qd_cfg_pair *pair; /* duplicates left out: the first wins, with a warning */
};

const char *qd_cfg_name(const struct qd_cfg *cfg); /* the file name, for messages */
int qd_cfg_count(const struct qd_cfg *cfg);        /* sections, [net] included */
const struct qd_cfg_section *qd_cfg_section(const struct qd_cfg *cfg, int i);
/* The value of a key in a section, or NULL. */
const char *qd_cfg_get(const struct qd_cfg *cfg, int section, const char *key);

/* Edits.  They invalidate borrowed sections and pairs. */
/* Set or add a key; comments and the place of an existing line are kept. */
int qd_cfg_set(struct qd_cfg *cfg, int section, const char *key, const char *value,
    struct qd_error *err) QD_MUSTCHECK;
/* Remove a layer section with its lines, and with the comments right above its header, unless they
 * are right below the predecessor's last key.  Other comments before it stay with the predecessor;
 * so do those after a blank line behind its last key, which speak about the section that follows.
 */
int qd_cfg_remove(struct qd_cfg *cfg, int section, struct qd_error *err) QD_MUSTCHECK;
/* The document as text, appended to 'b'. */
void qd_cfg_print(const struct qd_cfg *cfg, struct qd_buf *b);

/* ---- typed access against a key table -------------------------------------------------------- */

enum qd_key_type {
    QD_KEY_INT,
    QD_KEY_FLOAT,
    QD_KEY_WORD,   /* one of 'choices' when that is not NULL */
    QD_KEY_INTS,   /* comma-separated */
    QD_KEY_FLOATS, /* comma-separated */
    QD_KEY_LAYER,  /* an INT that names a layer; negative: counted back from this one */
    QD_KEY_LAYERS, /* INTS that name layers */
    QD_KEY_TEXT,   /* free text */
    QD_KEY_NOTED,  /* a key of some darknet that changes nothing here: accepted, with a note */
    QD_KEY_NOTED_LAYERS, /* a noted key that names layers */
    QD_KEY_REFUSED       /* a key that would give another network than ours: QD_EUNSUP unless 0 */
};

/* One key that a section may have.  The tables drive parsing, diagnostics and qd-cfg(5). */
struct qd_cfg_key {
    const char *name;
    enum qd_key_type type;
    const char *def;     /* default as text; NULL: none, the accessor then gives 0, "" or count 0 */
    double min, max;     /* allowed range of each number, inclusive; both 0: any */
    const char *choices; /* QD_KEY_WORD: allowed words, space-separated; NULL: any */
    const char *help;    /* one line for qd-cfg(5), no full stop */
};
#define QD_KEY_END                                                                                 \
    {                                                                                              \
        NULL, QD_KEY_TEXT, NULL, 0, 0, NULL, NULL                                                  \
    }

/*
 * Reading one section.  The first fault (not a number, out of range, not a choice) is put into err
 * with file:line, 'failed' is set and later calls give defaults: check once at the end.
 */
struct qd_keys {
    const struct qd_cfg *cfg;
    int section;
    const struct qd_cfg_key *table, *common; /* common may be NULL */
    struct qd_error *err;
    bool failed;
};

struct qd_keys qd_keys_open(const struct qd_cfg *cfg, int section, const struct qd_cfg_key *table,
    const struct qd_cfg_key *common, struct qd_error *err);
/* The table entry of a key, or NULL. */
const struct qd_cfg_key *qd_key_find(const struct qd_keys *k, const char *name);
bool qd_key_given(const struct qd_keys *k, const char *name);
int qd_key_int(struct qd_keys *k, const char *name);
float qd_key_float(struct qd_keys *k, const char *name);
const char *qd_key_word(struct qd_keys *k, const char *name); /* never NULL */
/* Up to 'max' numbers into out; returns how many the list holds (more than max is a fault). */
int qd_key_ints(struct qd_keys *k, const char *name, int *out, int max);
int qd_key_floats(struct qd_keys *k, const char *name, float *out, int max);
/* How many numbers the list holds. */
int qd_key_count(struct qd_keys *k, const char *name);
/* The line of a key, or the section's line when the key is not there. */
int qd_key_line(const struct qd_keys *k, const char *name);
/* A fault found by the caller, at the line of 'name' (NULL: at the section); returns -1. */
int qd_key_fault(struct qd_keys *k, enum qd_code code, const char *name, const char *fmt, ...)
    QD_PRINTF(4, 5);
/*
 * Once per section: warn about keys in neither table ("tiny.cfg:41: unknown key 'fliters' in
 * [convolutional], did you mean 'filters'?"), note QD_KEY_NOTED ones, fail on QD_KEY_REFUSED ones.
 */
int qd_keys_check(struct qd_keys *k);

#endif
