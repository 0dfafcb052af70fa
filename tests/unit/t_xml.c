/* SPDX-License-Identifier: MIT */
/* XML: what is read, and what is refused with which words. */
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "base/buf.h"
#include "format/xml.h"

/* The document as 'name(child child "text")'; elements called t have text. */
static void walk(struct qd_xml *x, struct qd_buf *out)
{
    const char *tag;

    while ((tag = qd_xml_child(x))) {
        qd_buf_printf(out, "%s", tag);
        if (strcmp(tag, "t") == 0) {
            qd_buf_printf(out, "'%s'", qd_xml_text(x));
        } else if (strcmp(tag, "skip") == 0) {
            qd_xml_skip(x);
        } else {
            qd_buf_str(out, "(");
            walk(x, out);
            qd_buf_str(out, ")");
        }
    }
}

static void is(const char *text, const char *want)
{
    struct qd_error err = {0};
    struct qd_buf out = {0};
    struct qd_xml x;

    qd_xml_open(&x, text, strlen(text), "a.xml", &err);
    walk(&x, &out);
    int ret = qd_xml_close(&x);
    qd_buf_str(&out, "");
    IS_STR(ret == 0 ? out.data : err.msg, want, "%s", *want ? want : "nothing");
    OK((ret == 0) == (err.code == QD_OK), "error and result agree");
    qd_buf_free(&out);
}

static void test_good(void)
{
    is("<a/>", "a()");
    is("<a></a>", "a()");
    is("\xef\xbb\xbf<a/>", "a()");
    is("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<a>\r\n</a>\r\n", "a()");
    is("<!DOCTYPE annotation SYSTEM \"x.dtd\"><!-- c --><a/><!-- d -->", "a()");
    is("<a><b/><b><c/></b></a>", "a(b()b(c()))");
    is("<a><t>  some words \n</t></a>", "a(t'some words')");
    is("<a><t/><t></t></a>", "a(t''t'')");
    is("<a><t>1 &lt; 2 &amp;&amp; &#65;&#x42;&quot;&apos;&gt;</t></a>", "a(t'1 < 2 && AB\"'>')");
    is("<a><t>&#233;&#x20ac;&#x1F600;</t></a>", "a(t'\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80')");
    is("<a><t>x<![CDATA[<&]]>y<!-- no -->z</t></a>", "a(t'x<&yz')");
    is("<a x=\"1\" y = '&lt;>' ><t lang=\"de\">w</t ></a >", "a(t'w')");
    is("<a><skip>text<b>x</b>more</skip><b/></a>", "a(skipb())");
    is("<\xc3\xa9t\xc3\xa9><t>\xff</t></\xc3\xa9t\xc3\xa9>", "\xc3\xa9t\xc3\xa9(t'\xff')");
}

static void test_bad(void)
{
    is("", "a.xml:1: no element: this is not an XML file");
    is(" \n\n", "a.xml:3: no element: this is not an XML file");
    is("words", "a.xml:1: text outside of the root element");
    is("<a>", "a.xml:1: the file ends inside of 'a'");
    is("<a>\n<b>", "a.xml:2: the file ends inside of 'b'");
    is("<a></b>", "a.xml:1: '</b>' where '</a>' is expected");
    is("</a>", "a.xml:1: '</a>' ends nothing");
    is("<a/><b/>", "a.xml:1: a second root element 'b'");
    is("<a/>x", "a.xml:1: text outside of the root element");
    is("<a>x<b/></a>", "a.xml:1: text and elements beside each other");
    is("<a><b/>x</a>", "a.xml:1: text where elements are expected");
    is("<a><t>x<b/></t></a>", "a.xml:1: text and elements beside each other");
    is("<a><t><b/></t></a>", "a.xml:1: an element inside of 't', where text is expected");
    is("<a", "a.xml:1: the tag '<a' has no end");
    is("<a/ >", "a.xml:1: '/' in a tag is not followed by '>'");
    is("<a x>", "a.xml:1: an attribute without '='");
    is("<a x=1>", "a.xml:1: the value of an attribute must be in quotes");
    is("<a x=\"1>", "a.xml:1: the value of an attribute without an end");
    is("<a x=\"<\">", "a.xml:1: the value of an attribute without an end");
    is("<a x='1'y='2'/>", "a.xml:1: the tag '<a' has no end");
    is("<1/>", "a.xml:1: a name is expected after '<', '</' or a blank in a tag");
    is("<a></a", "a.xml:1: the tag '</a' has no end");
    is("<!-- <a/>", "a.xml:1: a comment without an end");
    is("<a><![CDATA[x</a>", "a.xml:1: a CDATA section without an end");
    is("<? <a/>", "a.xml:1: a processing instruction without an end");
    is("<!DOCTYPE a", "a.xml:1: a document type without an end");
    is("<!DOCTYPE a [<!ENTITY b \"c\">]><a/>",
        "a.xml:1: declarations in a document type are not supported");
    is("<a><!DOCTYPE a></a>", "a.xml:1: a name is expected after '<', '</' or a blank in a tag");
    is("<a><t>&</t></a>", "a.xml:1: '&' without a name and ';' (write '&amp;')");
    is("<a><t>&nbsp;</t></a>", "a.xml:1: unknown entity '&nbsp;'");
    is("<a><t>&#0;</t></a>", "a.xml:1: '&#0;' is no character");
    is("<a><t>&#xd800;</t></a>", "a.xml:1: '&#xd800;' is no character");
    is("<a><t>&#x110000;</t></a>", "a.xml:1: '&#x110000;' is no character");
    is("<a><t>&#x;</t></a>", "a.xml:1: '&#x;' is no character");
    is("<a>\n\n<t>\1</t></a>", "a.xml:3: control character 1");
    is("\xff\xfe<", "a.xml:1: UTF-16 is not supported, only UTF-8 and its relatives are");
}

static void number(const char *text, double want, const char *message)
{
    struct qd_error err = {0};
    struct qd_xml x;

    qd_xml_open(&x, text, strlen(text), "n.xml", &err);
    OK(qd_xml_child(&x) != NULL, "an element");
    double got = qd_xml_number(&x);
    int ret = qd_xml_close(&x);
    IS_STR(err.msg, message, "number: %s", *message ? message : "good");
    NEAR(got, want, 0, 0, "value");
    OK((ret < 0) == (*message != 0), "result");
}

static void test_limits(void)
{
    struct qd_buf b = {0};
    struct qd_error err = {0};
    struct qd_xml x;

    number("<n> 4.25e1\n</n>", 42.5, "");
    number("<n>4,5</n>", 0, "n.xml:1: n '4,5' is not a number");
    number("<n/>", 0, "n.xml:1: n '' is not a number");
    number("<n>nan</n>", 0, "n.xml:1: n 'nan' is not a number");
    for (int i = 0; i < 65; i++)
        qd_buf_str(&b, "<d>");
    is(b.data, "a.xml:1: elements are nested more than 64 deep");
    b.len = 0;
    qd_buf_str(&b, "<");
    for (int i = 0; i < 201; i++)
        qd_buf_str(&b, "n");
    qd_buf_str(&b, "/>");
    is(b.data, "a.xml:1: a name of more than 200 bytes");
    qd_buf_free(&b);
    OK(qd_xml_load(&x, "/no/such.xml", &err) < 0, "a file that is not there");
    IS_STR(err.msg, "cannot open '/no/such.xml': No such file or directory", "message");

    /* a fault of the caller's, and nothing more is read */
    qd_xml_open(&x, "<a><b/></a>", 11, "c.xml", NULL);
    OK(qd_xml_child(&x) && qd_xml_fault(&x, "no") < 0 && !qd_xml_child(&x), "stops");
    IS_STR(qd_xml_text(&x), "", "no text");
    OK(qd_xml_close(&x) < 0, "and fails");
    qd_xml_open(&x, "<a><b/></a>", 11, "c.xml", NULL);
    OK(qd_xml_child(&x) != NULL && qd_xml_close(&x) < 0, "a document that was not read to its end");
}

int main(void)
{
    test_good();
    test_bad();
    test_limits();
    return tap_done();
}
