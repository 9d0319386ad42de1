"""The style of the pages: a phone, a desktop, paper; light and dark."""

from __future__ import annotations

from monitor.night.page import GENERATOR
from monitor.report.colours import variables
from monitor.report.markup import Markup, element
from monitor.report.picture import TEXT_STYLE

_RULES = """
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1rem;background:var(--ground);color:var(--text);
font:1rem/1.5 system-ui,sans-serif;overflow-wrap:break-word}
h1{font-size:1.6rem;line-height:1.2;margin:.5rem 0 .2rem}
h2{font-size:1.15rem;margin:1.8rem 0 .5rem}
h3{font-size:1rem;margin:1rem 0 .3rem}
p{margin:.4rem 0;max-width:44rem}
a{color:var(--link)}
.quiet,caption,figcaption{color:var(--quiet);font-size:.9rem}
.lead{font-size:1.15rem;margin:.8rem 0}
.notice{background:var(--notice);border-left:4px solid var(--poor);padding:.5rem .8rem;
max-width:none;border-radius:4px}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.2rem,1fr));gap:.6rem;
margin:1rem 0;padding:0}
.facts div{background:var(--panel);border-radius:8px;padding:.6rem .7rem}
.facts dt{color:var(--quiet);font-size:.9rem;display:flex;align-items:center;gap:.4rem}
.facts dd{margin:0;font-size:1.15rem;font-weight:600}
.dot{width:.8rem;height:.8rem;border-radius:2px;flex:none}
figure{margin:1rem 0}
figure svg{display:block;width:100%;height:auto}
.phone{display:none}
table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;padding:.2rem 0}
th,td{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;
border-bottom:1px solid var(--line)}
th{font-weight:600}
.pair table,.pair .wide{margin-bottom:.8rem}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td.n{white-space:nowrap}
td.v,.wide th[scope=row]{white-space:nowrap}
.origin td{overflow-wrap:anywhere}
.wide{overflow-x:auto}
.wide:focus-visible,summary:focus-visible{outline:2px solid var(--link);outline-offset:2px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:0 2rem;
align-items:start}
.pair>*{min-width:0}
summary{cursor:pointer;color:var(--link);padding:.3rem 0}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;list-style:none;padding:0;margin:.4rem 0}
.legend li{display:flex;align-items:center;gap:.4rem}
footer{margin-top:2rem;border-top:1px solid var(--line);padding-top:.6rem}
@media screen and (max-width:38rem){
body{padding:.9rem}
.desk{display:none}.phone{display:block}
h1{font-size:1.35rem}.lead{font-size:1.05rem}
.facts{grid-template-columns:1fr 1fr}
.facts dd{font-size:1.1rem}
}
@page{size:A4;margin:9mm 12mm}
@media print{
body{font-size:8.6pt;line-height:1.32;padding:0;max-width:none}
h1{font-size:15pt;margin-top:0}
h2{font-size:10.5pt;margin:2.2mm 0 .6mm}h3{font-size:9pt;margin:1.6mm 0 .6mm}
h2,h3,caption{break-after:avoid}
tr,figure,table{break-inside:avoid}
.pair table,.pair .wide{margin-bottom:1.6mm}
p{margin:.6mm 0;max-width:none}
.lead{font-size:11pt;margin:1.4mm 0}
.notice{border:1px solid var(--poor);border-left-width:4px;padding:1mm 2mm}
.facts{grid-template-columns:repeat(6,1fr);gap:1.6mm;margin:1.6mm 0}
.facts div{border:1px solid var(--line);padding:1mm 1.6mm}
.facts dt{font-size:7.6pt}.facts dd{font-size:10pt}
.dot{print-color-adjust:exact;-webkit-print-color-adjust:exact}
figure{margin:1.6mm 0}
.pair{grid-template-columns:1fr 1fr;gap:0 7mm}
.uneven{grid-template-columns:3fr 2fr}
table{font-size:7.8pt}th,td{padding:.32mm 1.8mm .32mm 0}
.wide{overflow:visible}
.origin tbody{display:grid;grid-template-columns:1fr 1fr;gap:0 7mm}
.origin tr{display:grid;grid-template-columns:20mm 1fr}
.quiet,caption,figcaption{font-size:7.8pt}
details{display:none}
footer{margin-top:2mm;padding-top:1mm}
}
"""


def page(title: str, *content: object) -> str:
    """Return a whole page in English, which needs nothing from elsewhere."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="generator", content=GENERATOR),
        element("title", title),
        element("style", Markup(variables() + TEXT_STYLE + _RULES.replace("\n", ""))),
    )
    body = element("body", element("main", *content))
    whole = element("html", head, body, lang="en", xmlns="http://www.w3.org/1999/xhtml")
    return f"<!DOCTYPE html>\n{whole}\n"


def table(
    caption: str,
    columns: list[str],
    rows: list[list[object]],
    *,
    numbers: bool = True,
    wide: bool = False,
) -> Markup:
    """Return a table whose first column names the rows.

    ``numbers``: the other columns are aligned at the right; else the second column is kept in one
    line. ``wide``: it may be wider than a phone, and is scrolled there.
    """
    classes = ["n"] * len(columns) if numbers else ["v", *[None] * len(columns)]
    first, *others = columns
    head = element(
        "tr",
        element("th", first, scope="col"),
        [
            element("th", name, scope="col", class_=class_)
            for name, class_ in zip(others, classes, strict=False)
        ],
    )
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            [
                element("td", cell, class_=class_)
                for cell, class_ in zip(row[1:], classes, strict=False)
            ],
        )
        for row in rows
    ]
    made = element(
        "table", element("caption", caption), element("thead", head), element("tbody", body)
    )
    if not wide:
        return made
    # A part that scrolls must be reached with the keyboard.
    return element("div", made, class_="wide", tabindex="0", role="region", aria_label=caption)


def both_widths(desk: Markup, phone: Markup, caption: object) -> Markup:
    """Return a figure with one picture for a desktop and paper, and one for a phone."""
    return element(
        "figure",
        element("div", desk, class_="desk"),
        element("div", phone, class_="phone"),
        element("figcaption", caption),
    )


def section(title: str, *content: object) -> Markup:
    """Return a section of a page with its heading."""
    return element("section", element("h2", title), *content)


def fact(name: str, value: str, colour: str | None = None) -> Markup:
    """Return a fact for a list of the class ``facts``; ``colour`` is its key in the pictures."""
    dot = None if colour is None else element("span", class_="dot", style=f"background:{colour}")
    return element("div", element("dt", dot, name), element("dd", value))
