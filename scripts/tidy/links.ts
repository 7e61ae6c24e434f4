/**
 * Links that lead nowhere: relative links in the Markdown pages, their anchors, and pages of docs/ that
 * comments or pages mention. Called by scripts/tidy.ts. Does not follow links to the web.
 */
import { posix } from 'node:path';
import { isSource } from './imports.js';
import { commentsOf, lineAt } from './sourceText.js';
import type { Problem, SourceFile } from './sourceText.js';

interface Link {
  readonly line: number;
  /** Without the anchor; empty for a place on the same page. */
  readonly path: string;
  readonly anchor?: string;
}

export function checkLinks(files: readonly SourceFile[]): Problem[] {
  const texts = new Map(files.map((file) => [file.path, file.text]));
  return files.filter(isPage).flatMap((page) =>
    linksOf(page.text).flatMap((link) => {
      const message = whatIsWrong(page, link, texts);
      return message === undefined ? [] : [{ path: page.path, line: link.line, message }];
    }),
  );
}

/** A page of docs/ that a comment or another page mentions exists. */
export function checkMentionedPages(files: readonly SourceFile[]): Problem[] {
  const paths = new Set(files.map((file) => file.path));
  return files.flatMap((file) => {
    const text = isSource(file.path) ? commentsOf(file.text) : isPage(file) ? file.text : '';
    return [...text.matchAll(/\bdocs\/[\w-]+\.md\b/g)]
      .filter((match) => !paths.has(match[0]))
      .map((match) => ({
        path: file.path,
        line: lineAt(file.text, match.index),
        message: `${match[0]} does not exist`,
      }));
  });
}

const isPage = (file: SourceFile): boolean => file.path.endsWith('.md');

function linksOf(text: string): Link[] {
  const prose = text.replace(/^```[\s\S]*?^```|`[^`\n]*`/gm, (code) => code.replace(/[^\n]/g, ' '));
  return [...prose.matchAll(/\]\(\s*([^)\s]+)[^)]*\)/g)]
    .map((match) => ({ line: lineAt(text, match.index), target: match[1] ?? '' }))
    .filter(({ target }) => !/^[a-z][a-z+.-]*:/i.test(target))
    .map(({ line, target }) => {
      const [path = '', anchor] = target.split('#');
      return { line, path, ...(anchor === undefined ? {} : { anchor }) };
    });
}

function whatIsWrong(
  page: SourceFile,
  link: Link,
  texts: ReadonlyMap<string, string>,
): string | undefined {
  const target =
    link.path === ''
      ? page.path
      : posix.join(posix.dirname(page.path), link.path).replace(/\/$/, '');
  const text = texts.get(target);
  if (text === undefined) {
    const isFolder = [...texts.keys()].some((path) => path.startsWith(`${target}/`));
    return isFolder ? undefined : `link to ${link.path}, which does not exist`;
  }
  if (link.anchor === undefined || !target.endsWith('.md')) return undefined;
  return anchorsOf(text).has(link.anchor) ? undefined : `no heading #${link.anchor} in ${target}`;
}

/** As GitHub makes them from headings; the second of the same text ends in `-1`. */
function anchorsOf(text: string): ReadonlySet<string> {
  const headings = text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#+\s+(.+)$/gm);
  const anchors = new Set<string>();
  for (const match of headings) {
    const plain = anchorOf(match[1] ?? '');
    let anchor = plain;
    for (let repeated = 1; anchors.has(anchor); repeated += 1) anchor = `${plain}-${repeated}`;
    anchors.add(anchor);
  }
  return anchors;
}

const anchorOf = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');
