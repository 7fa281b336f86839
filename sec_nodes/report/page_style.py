"""Frame and style of the HTML report; needs nothing from the network."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name} · run report</title>
<style>
:root {{
  color-scheme: light dark;
  --page: #fbfbfa; --ink: #1d1d1f; --muted: #66666b; --line: #e3e3e0; --card: #ffffff;
  --good: #00734f; --warn: #9a5b00; --bad: #b3001e;
}}
@media (prefers-color-scheme: dark) {{
  :root {{
    --page: #16171a; --ink: #e9e9ea; --muted: #a2a2a8; --line: #34353a; --card: #1f2024;
    --good: #4fd0a5; --warn: #f0b050; --bad: #ff7a88;
  }}
}}
* {{ box-sizing: border-box; }}
body {{
  margin: 0 auto; padding: 3rem 1.25rem 5rem; max-width: 62rem;
  background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}}
h1 {{ margin: 0; font-size: 1.9rem; letter-spacing: -0.015em; }}
h2 {{ margin: 0 0 .6rem; font-size: 1.1rem; letter-spacing: -0.005em; }}
.subtitle {{ margin: .3rem 0 2rem; color: var(--muted); }}
.alert, .note {{
  padding: .6rem .9rem; border-left: 3px solid var(--bad); background: var(--card);
}}
.note {{ border-color: var(--warn); color: var(--muted); }}
.tiles {{
  display: grid; grid-template-columns: repeat(auto-fit, minmax(8.4rem, 1fr)); gap: 1.1rem 1.2rem;
  padding: 1.2rem 0; border-top: 1px solid var(--line); border-bottom: 1px solid var(--line);
}}
.tile span, .tile small {{
  display: block; color: var(--muted); font-size: .82rem; line-height: 1.35;
}}
.tile strong {{ display: block; font-size: 1.55rem; font-weight: 600; letter-spacing: -0.02em; }}
section figure h2 {{ font-size: .98rem; }}
figure {{ margin: 2.8rem 0 0; }}
figure img {{
  display: block; width: 100%; max-width: 50rem; height: auto; padding: .6rem;
  background: #ffffff; border-radius: 6px; border: 1px solid var(--line);
}}
figcaption {{ margin-top: .6rem; max-width: 50rem; color: var(--muted); font-size: .92rem; }}
section {{ margin-top: 3rem; }}
.scroll {{ overflow: auto; max-height: 32rem; border: 1px solid var(--line); border-radius: 6px; }}
table {{
  border-collapse: collapse; width: 100%; font-size: .86rem; font-variant-numeric: tabular-nums;
}}
th, td {{
  padding: .34rem .8rem; text-align: left; white-space: nowrap;
  border-bottom: 1px solid var(--line);
}}
th {{ position: sticky; top: 0; background: var(--card); font-weight: 600; }}
tr:last-child td {{ border-bottom: 0; }}
b.done {{ color: var(--good); }} b.late {{ color: var(--warn); }}
b.failed, b.rejected {{ color: var(--bad); }}
a {{ color: inherit; }}
.lead {{ margin: 0 0 1rem; color: var(--muted); font-size: .92rem; }}
.cards {{
  display: grid; grid-template-columns: repeat(auto-fill, minmax(12.6rem, 1fr)); gap: 1.1rem;
}}
.card {{
  padding: .6rem .6rem .7rem; background: var(--card); border: 1px solid var(--line);
  border-top: 3px solid var(--line); border-radius: 6px; font-size: .84rem; line-height: 1.4;
}}
.card.right {{ border-top-color: var(--good); }}
.card.wrong {{ border-top-color: var(--bad); }}
.card img, .card .blank {{
  display: block; width: 100%; height: auto; aspect-ratio: 1; margin-bottom: .5rem;
  image-rendering: pixelated; border-radius: 3px; background: var(--line);
}}
.card p {{ margin: .15rem 0 0; }}
.card .asked {{ color: var(--muted); }}
.card .answer {{ font-weight: 600; }}
.card.right .answer b {{ color: var(--good); }}
.card.wrong .answer b {{ color: var(--bad); }}
.card .who, .card .truth {{ color: var(--muted); font-size: .76rem; }}
details summary {{ cursor: pointer; font-weight: 600; font-size: 1.1rem; margin-bottom: .6rem; }}
</style>
</head>
<body>
<header><h1>{name}</h1><p class="subtitle">{subtitle}</p></header>
{alerts}
<div class="tiles">
{tiles}
</div>
<main>
{gallery}
{mission}
{carried}
{failures}
{figures}
<section><h2>Servers</h2><div class="scroll"><table>
{servers}
</table></div></section>
<section><h2>Tasks</h2><div class="scroll"><table>
{tasks}
</table></div></section>
<section><details><summary>Parameters of the run</summary><div class="scroll"><table>
{parameters}
</table></div></details></section>
<section><h2>Raw files, in the folder of this report</h2><div class="scroll"><table>
{files}
</table></div></section>
</main>
</body>
</html>
"""
