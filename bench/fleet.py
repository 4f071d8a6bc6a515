"""fleet.py BUILD: 100,000 hosts before and after an incident (tests/fleet.h): a table on stdout,
BUILD/bench-fleet.json, and what the domain controllers see as a plot in BUILD/bench-fleet.svg."""
import html
import json
import subprocess
import sys

build = sys.argv[1]
WIDTH, HEIGHT, LEFT, TOP, GAP = 720, 150, 60, 56, 62
BEFORE, AFTER = 60, 300     # minutes around the incident that the plot shows


def line(values, top, scale, first, minutes):
    """An SVG path of one value a minute; top is the upper edge, scale the value there."""
    points = []
    for i, v in enumerate(values[first:first + minutes]):
        points.append('%.1f,%.1f' % (LEFT + i * WIDTH / minutes, top + HEIGHT - min(v, scale) * HEIGHT / scale))
    return 'M' + ' L'.join(points)


def text(x, y, s, extra=''):
    return '<text x="%.1f" y="%.1f" %s>%s</text>' % (x, y, extra, html.escape(s))


def after(minutes):
    return 'never' if minutes is None else '%.0f min' % minutes


def panel(r, top):
    first = r['incident_minute'] - BEFORE
    minutes = min(BEFORE + AFTER, len(r['arrived']) - first)
    shown = r['arrived'][first:first + minutes]
    # A storm is cut off, and said so: the rest would be a flat line beside it.
    scale = max(4 * r['steady'], min(1.1 * max(shown), 1.2 * r['capacity']))
    y = lambda v: top + HEIGHT - v * HEIGHT / scale
    x = lambda minute: LEFT + (minute - first) * WIDTH / minutes
    out = [text(LEFT, top - 22, r['name'], 'class="title"'),
           text(LEFT, top - 8, 'steady %.1f/s, peak afterwards %.1f/s (%.1f times); half of the hosts refreshed after %s, all after %s' %
                (r['steady'], r['peak'], r['ratio'], after(r['half_minutes']), after(r['all_minutes']))),
           '<rect x="%d" y="%d" width="%d" height="%d" class="frame"/>' % (LEFT, top, WIDTH, HEIGHT)]
    if r['over_minute'] > r['incident_minute']:
        out.append('<rect x="%.1f" y="%d" width="%.1f" height="%d" class="outage"/>' % (x(r['incident_minute']), top,
                   x(r['over_minute']) - x(r['incident_minute']), HEIGHT))
    for v, what in ((r['steady'], 'steady'), (3 * r['steady'], '3 times'), (r['capacity'], 'capacity')):
        if v <= scale:
            out.append('<path d="M%d,%.1f h%d" class="rule"/>' % (LEFT, y(v), WIDTH))
            out.append(text(LEFT + WIDTH + 4, y(v) + 3, what))
            out.append(text(LEFT - 4, y(v) + 3, '%.0f' % v, 'text-anchor="end"'))
    out.append('<path d="%s" class="lost"/>' % line(r['lost'], top, scale, first, minutes))
    out.append('<path d="%s" class="arrived"/>' % line(r['arrived'], top, scale, first, minutes))
    out.append('<path d="%s" class="served"/>' % line(r['served'], top, scale, first, minutes))
    if max(shown) > scale:
        at = first + shown.index(max(shown))
        out.append(text(x(at) + 6, top + 11, '%.0f/s' % max(shown)))
    for hour in range(0, minutes + 1, 60):
        out.append(text(x(first + hour), top + HEIGHT + 13, '%d h' % ((hour - BEFORE) // 60), 'text-anchor="middle"'))
    return '\n'.join(out)


STYLE = '''text{font:11px sans-serif;fill:#333}.title{font-weight:bold;font-size:13px}.frame{fill:none;stroke:#999}
.outage{fill:#000;opacity:.07}.rule{stroke:#bbb;stroke-dasharray:3 3}path{fill:none}
.arrived{stroke:#c33;stroke-width:1.3}.served{stroke:#269;stroke-width:1.3}.lost{stroke:#aaa;stroke-width:1.3}'''


def plot(results):
    high = TOP + len(results) * (HEIGHT + GAP) + 20
    head = ('%d hosts: refreshes a second at the domain controllers (means of a minute)' % results[0]['hosts'])
    legend = 'red: begun at a controller; blue: answered; grey: begun while there was none; shaded: the outage'
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">' % (WIDTH + 120, high, WIDTH + 120, high),
             '<style>%s</style>' % STYLE, '<rect width="100%" height="100%" fill="#fff"/>',
             text(LEFT, 18, head, 'class="title"'), text(LEFT, 32, legend)]
    parts += [panel(r, TOP + 30 + i * (HEIGHT + GAP)) for i, r in enumerate(results)]
    return '\n'.join(parts) + '\n</svg>\n'


def show(results):
    print('%-48s %8s %8s %6s %8s | %7s %7s | %s' % ('%d hosts, refreshes a second' % results[0]['hosts'], 'steady', 'peak',
          'ratio', 'later', 'half', 'all', 'refused, gave up'))
    for r in results:
        print('%-48s %8.1f %8.1f %6.2f %8.1f | %7s %7s | %d, %d' % (r['name'], r['steady'], r['peak'], r['ratio'], r['later'],
              after(r['half_minutes']), after(r['all_minutes']), r['refused'], r['out_of_patience']))
    print('peak: the highest mean of a minute after the incident; later: the same from half an hour after it on; half, all: until\n'
          'so many hosts had a good refresh; 4 domain controllers answer %d a second together' % results[0]['capacity'])


def main():
    results = json.loads(subprocess.run([build + '/tests/fleettool'], capture_output=True, check=True).stdout)
    with open(build + '/bench-fleet.json', 'w') as f:
        json.dump(results, f)
    with open(build + '/bench-fleet.svg', 'w') as f:
        f.write(plot(results))
    show(results)


main()
