/**
 * The page at `/` of the debug endpoint: what is here, and the tree, fetched again every second.
 * Called by debugEndpoint.ts. Nothing from the node is put into the HTML itself; the script shows it as text.
 */

/** `nonce` allows this page's own style and script and nothing else. */
export const debugPage = (options: { nodeName: string; nonce: string }): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(options.nodeName)} - Skein</title>
<style nonce="${options.nonce}">${STYLE}</style>
</head>
<body>
<header>
<h1>${escapeHtml(options.nodeName)}</h1>
<p id="status" role="status">loading</p>
</header>
<main>
<pre id="tree" tabindex="0" aria-label="Supervision tree"></pre>
<nav aria-label="Endpoints">
<h2>Endpoints</h2>
<ul>
<li><a href="/debug/actors?format=json">/debug/actors?format=json</a> the supervision tree and the dead letters</li>
<li><a href="/debug/actors?format=text">/debug/actors?format=text</a> the same as above</li>
<li><a href="/debug/actors?format=dot">/debug/actors?format=dot</a> for graphviz</li>
<li><code>POST /debug/actors/&lt;path&gt;/crash</code> makes an actor crash, with <code>debug.allowCrash</code></li>
<li><a href="/health">/health</a> <a href="/livez">/livez</a> <a href="/readyz">/readyz</a> <a href="/startupz">/startupz</a></li>
</ul>
</nav>
</main>
<script nonce="${options.nonce}">${SCRIPT}</script>
</body>
</html>
`;

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --quiet: #5b6675; --paper: #fbfbf9; --panel: #f0f1ec; --link: #1f5fbf; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ec; --quiet: #9aa5b4; --paper: #14171c; --panel: #1d222a; --link: #8ab4f8; --bad: #ff8a80; }
}
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
header { display: flex; align-items: baseline; gap: 1rem; flex-wrap: wrap; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1rem; }
#status { margin: 0; color: var(--quiet); }
#status.lost { color: var(--bad); }
pre { overflow-x: auto; padding: 1rem; border-radius: 8px; background: var(--panel); font: 13px/1.5 ui-monospace, monospace; min-height: 8rem; }
a { color: var(--link); }
ul { padding-left: 1.2rem; }
`;

const SCRIPT = `
const tree = document.getElementById('tree');
const status = document.getElementById('status');
async function refresh() {
  try {
    const answer = await fetch('/debug/actors?format=text', { cache: 'no-store' });
    if (!answer.ok) throw new Error('status ' + answer.status);
    const text = await answer.text();
    if (tree.textContent !== text) tree.textContent = text;
    status.textContent = 'updated ' + new Date().toLocaleTimeString();
    status.className = '';
  } catch (error) {
    status.textContent = 'not reachable: ' + error.message;
    status.className = 'lost';
  }
  setTimeout(refresh, 1000);
}
refresh();
`;

const HTML: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const escapeHtml = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (character) => HTML[character] ?? character);
