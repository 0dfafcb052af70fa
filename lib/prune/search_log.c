/* SPDX-License-Identifier: MIT */
/*
 * The file of a search: a line a candidate, which is all that a search needs to go on.  A line that
 * was not finished is cut off.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/io.h"
#include "base/num.h"
#include "format/tsv.h"
#include "prune/search.h"

#define COLUMNS "# candidate\tdraw\tshare\tmacs\tparams\tscore"

enum { FIELDS = 6, MAX_BYTES = 1 << 26 };

static int put(struct qd_search *s, const char *text, size_t n, struct qd_error *err)
{
    off_t end = lseek(s->log, 0, SEEK_END);
    ssize_t done = write(s->log, text, n);

    if (done >= 0 && (size_t)done == n)
        return 0;
    int e = done < 0 ? errno : ENOSPC;
    if (done > 0 && end >= 0 && ftruncate(s->log, end) < 0)
        e = errno;
    return qd_error_set(err, QD_EIO, "cannot write '%s': %s", s->o.log, strerror(e));
}

int qd_search_log_add(struct qd_search *s, const struct qd_search_row *row, struct qd_error *err)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "%d\t%llu\t%.6f\t%llu\t%llu\t%.6f\n", row->candidate,
        (unsigned long long)row->draw, row->share, (unsigned long long)row->macs,
        (unsigned long long)row->params, row->score);

    return put(s, text, (size_t)n, err);
}

static int header(const struct qd_search *s, char *text, size_t size)
{
    return snprintf(text, size, "# search %016llx\n" COLUMNS "\n", (unsigned long long)s->recipe);
}

/* Numbers of one candidate; false: it is not a line of ours. */
static bool read_row(const struct qd_search *s, char *line, struct qd_search_row *row)
{
    char *field[FIELDS];
    long long v[FIELDS];

    if (qd_tsv_split(line, field, FIELDS) != FIELDS)
        return false;
    for (int i = 0; i < FIELDS; i++)
        if (i != 2 && i != 5 && (!qd_num_int(field[i], &v[i]) || v[i] < 0))
            return false;
    *row = (struct qd_search_row){.candidate = (int)QD_MIN(v[0], INT32_MAX),
        .draw = (uint64_t)v[1],
        .macs = (uint64_t)v[3],
        .params = (uint64_t)v[4]};
    return v[0] == s->done + 1 && row->draw >= s->next && qd_num_double(field[2], &row->share) &&
           qd_num_double(field[5], &row->score) && row->share >= 0 && row->share <= 1 &&
           row->score >= 0 && row->score <= 1;
}

/* Candidates of a file that begins with our header; *end gets the bytes of whole lines. */
static int read_rows(struct qd_search *s, struct qd_buf *b, size_t *end, struct qd_error *err)
{
    char *nl;

    for (int line = 3; (nl = memchr(b->data + *end, '\n', b->len - *end)); line++) {
        struct qd_search_row row;
        *nl = 0;
        if (!read_row(s, b->data + *end, &row))
            return qd_error_at(
                err, QD_EFORMAT, s->o.log, line, "not a line that a search could have written");
        qd_search_count(s, &row);
        *end = (size_t)(nl - b->data) + 1;
    }
    s->resumed = s->done;
    return 0;
}

/* *end gets the bytes that are to be kept: 0, the file begins anew. */
static int take_up(struct qd_search *s, size_t *end, struct qd_error *err)
{
    struct qd_buf b = {0};
    char text[256];
    size_t n = (size_t)header(s, text, sizeof(text));
    int ret = 0;

    if (qd_io_slurp(s->o.log, MAX_BYTES, &b, err) < 0)
        return -1;
    if (b.len < n && memcmp(b.data, text, b.len) == 0) {
        *end = 0; /* killed before the first candidate */
    } else if (b.len >= n && memcmp(b.data, text, n) == 0) {
        *end = n;
        ret = read_rows(s, &b, end, err);
    } else if (!s->o.force) {
        ret = qd_error_set(err, QD_EARG,
            "'%s' is of another search: model, data or options differ; replace it (-f)", s->o.log);
    }
    qd_buf_free(&b);
    return ret;
}

int qd_search_log_open(struct qd_search *s, struct qd_error *err)
{
    size_t keep = 0;
    struct stat st;
    char text[256];
    int n = header(s, text, sizeof(text));

    if (stat(s->o.log, &st) == 0) {
        if (!s->o.resume && !s->o.force)
            return qd_error_set(err, QD_EARG,
                "'%s' exists: go on with that search (-r), or replace it (-f)", s->o.log);
        if (s->o.resume && take_up(s, &keep, err) < 0)
            return -1;
    }
    s->log = open(s->o.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (s->log < 0 || ftruncate(s->log, (off_t)keep) < 0)
        return qd_error_set(err, QD_EIO, "cannot write '%s': %s", s->o.log, strerror(errno));
    return keep ? 0 : put(s, text, (size_t)n, err);
}
