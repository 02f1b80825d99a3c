"""MkDocs hooks: add repository files that pages link to, and refuse content loaded from other sites."""

import os
import posixpath
import re

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

#: Folder in the site for files from outside docs/: SECURITY.md becomes project/SECURITY.md.
PLACE = 'project/'

_LINK = re.compile(r'(\[[^][]*\])\((?![a-z]+:|#|/)([^)#\s]+)((?:#[^)\s]*)?)\)')
_FOREIGN = re.compile(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="?https?:[^>]*>|<link\b[^>]*\bhref="?https?:[^>]*>')


def _in_repository(src_uri):
    """Return a page's path in the repository."""
    return src_uri[len(PLACE) :] if src_uri.startswith(PLACE) else 'docs/' + src_uri


def _in_site(path):
    """Return the path in the site of a file of the repository."""
    return path[len('docs/') :] if path.startswith('docs/') else PLACE + path


def _is_shown(path):
    """Return whether the site can show a path of the repository: a file that is not hidden."""
    return os.path.isfile(os.path.join(ROOT, path)) and not path.startswith('.')


def _target(page, link):
    """Return the path in the repository that a link of a page leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def on_files(files, config):
    """Add the pages of the navigation and the linked files that lie outside docs/."""
    named = re.findall(re.escape(PLACE) + r'[\w./-]+', str(config.nav))
    waiting = [_in_repository(each) for each in named + [page.src_uri for page in files.documentation_pages()]]
    seen = set()
    while waiting:
        path = waiting.pop()
        if path in seen or not _is_shown(path):
            continue
        seen.add(path)
        full = os.path.join(ROOT, path)
        if not path.startswith('docs/'):
            files.append(File.generated(config, _in_site(path), abs_src_path=full))
        if path.endswith('.md'):
            with open(full, encoding='utf-8') as file:
                waiting += [_target(path, link) for _, link, _ in _LINK.findall(file.read())]
    return files


def on_page_markdown(markdown, page, **_):
    """Rewrite links to paths in the site; a link to something that the site does not show becomes plain text."""
    own = page.file.src_uri

    def led(match):
        text, link, anchor = match.groups()
        path = _target(_in_repository(own), link)
        if os.path.exists(os.path.join(ROOT, path)) and not _is_shown(path):
            return text[1:-1]
        return '%s(%s%s)' % (text, posixpath.relpath(_in_site(path), posixpath.dirname(own) or '.'), anchor)

    return _LINK.sub(led, markdown)


def on_post_page(output, page, **_):
    """Refuse a page whose scripts, styles or pictures would come from another site."""
    found = _FOREIGN.search(re.sub(r'<link rel="canonical"[^>]*>', '', output))
    if found:
        raise PluginError('%s loads from another site: %s' % (page.file.src_uri, found.group()))
    return output
