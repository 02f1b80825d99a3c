"""Reads a page of ours as a program can: its words, its elements, where they lead, and the figures of its charts."""

import json
import re
from html.parser import HTMLParser

VOID = {'meta', 'img', 'br', 'link', 'input', 'hr'}


class Page(HTMLParser):
    """A page; `open` lists elements without an end, and is empty for a sound page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.words, self.references, self.elements, self.charts = [], [], [], [], []
        self._attributes = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self._attributes = dict(attrs)
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.references += [value for name, value in attrs if name in ('src', 'href', 'xlink:href', 'srcset', 'action')]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ['script'] and self._attributes.get('type') == 'application/json':
            if 'id' not in self._attributes:
                chart = next(attributes for tag, attributes in reversed(self.elements) if tag == 'div')
                self.charts.append((chart['aria-label'], json.loads(data)))
        elif self.open[-1:] not in (['style'], ['script']):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r'\s+', ' ', ' '.join(self.words))

    def of_class(self, name):
        return [attributes for _, attributes in self.elements if name in (attributes.get('class') or '').split()]

    def figures(self, words=''):
        """List the figures of the charts whose description holds some words."""
        return [figure for says, figure in self.charts if words in says]


def traces(figure, name=None):
    """List the traces of a figure, or those of a name, as plain dicts."""
    found = figure['data'] if isinstance(figure, dict) else json.loads(figure.to_json())['data']
    return [each for each in found if name is None or each.get('name') == name]


def loads_nothing(text, shared=''):
    """Tell whether a page has nothing that a browser would load, but the script that it shares with others."""
    page = Page(text)
    outside = [each for each in page.references if not each.startswith('data:image/') and each != shared]
    links = [attributes.get('href') for tag, attributes in page.elements if tag == 'a']
    own = re.sub(r'<script.*?</script>', '', text, flags=re.S)
    return (
        "default-src 'none'" in text
        and not [each for each in outside if each not in links]
        and not re.search(r'https?:|@import|url\(|<link|<iframe', own)
    )
