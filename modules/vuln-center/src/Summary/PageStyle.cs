namespace Wave16.VulnCenter.Summary;

internal static class PageStyle
{
    public const string Text = """
        :root { color-scheme: light dark;
          --ground: light-dark(#f4f5f7, #0d1115); --card: light-dark(#fff, #161b21); --ink: light-dark(#15191e, #eef1f4); --soft: light-dark(#56606b, #a3aeb9); --line: light-dark(#dfe3e8, #2b333c);
          --critical: light-dark(#8c1432, #f0647e); --high: light-dark(#cf5416, #f0915a); --medium: light-dark(#e0a526, #e6c25c); --low: light-dark(#5b8db8, #7fb0d8); --other: light-dark(#9aa4af, #737e8a);
          --blue: light-dark(#2b62a8, #6aa5ec); --green: light-dark(#2c7f5b, #62bd92); }
        * { box-sizing: border-box; }
        body { margin: 0; padding: 1.5rem clamp(1rem, 3vw, 2.5rem) 2.5rem; font: 1.0625rem/1.4 system-ui, "Segoe UI", sans-serif; background: var(--ground); color: var(--ink); font-variant-numeric: tabular-nums; }
        header { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between; gap: .2rem 2rem; margin-bottom: 1.2rem; }
        h1 { font-size: 1.9rem; margin: 0; overflow-wrap: anywhere; min-width: 0; } h1 span { font-weight: 400; color: var(--soft); }
        header p, .note, .legend { color: var(--soft); margin: 0; } h2 { font-size: 1.15rem; margin: 0 0 .5rem; } h3 { font-size: 1rem; margin: .2rem 0; color: var(--soft); font-weight: 600; }
        main { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 1rem; }
        section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1.1rem 1.3rem; min-width: 0; break-inside: avoid; }
        .wide { grid-column: span 2; }
        .tiles { grid-column: 1 / -1; display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: 1rem; padding: 0; border: 0; background: none; }
        .tile { background: var(--card); border: 1px solid var(--line); border-left: .4rem solid var(--line); border-radius: .6rem; padding: .9rem 1.1rem; }
        .tile h2 { font-size: 1.05rem; font-weight: 600; color: var(--soft); margin: 0; } .figure { font-size: clamp(1.8rem, 2.5vw, 3.2rem); line-height: 1.15; font-weight: 700; margin: 0; letter-spacing: -.02em; white-space: nowrap; }
        .alarm { border-left-color: var(--critical); } .alarm .figure { color: var(--critical); }
        svg { display: block; width: 100%; height: auto; margin-top: .3rem; } svg text { font: 600 17px system-ui, "Segoe UI", sans-serif; fill: var(--ink); }
        svg .value, svg .inside, svg .tick { text-anchor: middle; } svg .tick { fill: var(--soft); font-weight: 400; } svg .end { text-anchor: end; } svg .value { font-size: 16px; }
        .axis { stroke: var(--ink); stroke-width: 1.5; } .part { stroke: var(--card); stroke-width: 1.5; }
        rect.critical, rect.breached { fill: var(--critical); } rect.high { fill: var(--high); } rect.medium, rect.warned { fill: var(--medium); } rect.low { fill: var(--low); } rect.other, rect.paused { fill: var(--other); }
        rect.opened, rect.running { fill: var(--blue); } rect.closed { fill: var(--green); } rect.none { fill: var(--line); } .again-ground { fill: var(--card); } .again-line { fill: var(--blue); }
        svg .on-critical, svg .on-breached, svg .on-running { fill: light-dark(#fff, #10151a); } svg .on-high, svg .on-medium, svg .on-low, svg .on-other, svg .on-warned, svg .on-paused { fill: #10151a; }
        .legend { display: flex; flex-wrap: wrap; align-items: center; gap: .1rem 1.1rem; margin-top: .5rem; } .legend > span { white-space: nowrap; }
        .key { display: inline-block; width: .85em; height: .85em; border-radius: .15em; margin-right: .4em; vertical-align: -.08em; background: var(--key); border: 1px solid var(--line); }
        .key.critical, .key.breached { --key: var(--critical); } .key.high { --key: var(--high); } .key.medium, .key.warned { --key: var(--medium); } .key.low { --key: var(--low); } .key.other, .key.paused { --key: var(--other); }
        .key.opened, .key.running { --key: var(--blue); } .key.closed { --key: var(--green); } .key.none { --key: var(--line); } .key.again { --key: repeating-linear-gradient(45deg, var(--blue) 0 2px, var(--card) 2px 5px); }
        table { width: 100%; border-collapse: separate; border-spacing: 0; table-layout: fixed; } th, td { padding: .38rem .5rem; text-align: right; font-weight: 400; }
        th[scope=row] { text-align: left; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } .plain th { padding-left: 0; } .plain tr + tr > * { border-top: 1px solid var(--line); } .plain { table-layout: auto; } .plain th[scope=row] { max-width: 0; width: 100%; } .plain td { white-space: nowrap; font-weight: 600; } .plain td.note { font-weight: 400; }
        .heat { border-spacing: 2px; } .heat thead th { color: var(--soft); font-size: .95rem; vertical-align: bottom; } .heat thead th:first-child { text-align: left; width: 34%; } .heat .total { font-weight: 700; } .heat .rest > * { color: var(--soft); }
        .heat td.critical { --key: var(--critical); } .heat td.high { --key: var(--high); } .heat td.medium { --key: var(--medium); } .heat td.low { --key: var(--low); } .heat td.other { --key: var(--other); }
        .heat0 { color: var(--soft); } .heat1 { background: color-mix(in srgb, var(--key) 8%, var(--card)); } .heat2 { background: color-mix(in srgb, var(--key) 16%, var(--card)); } .heat3 { background: color-mix(in srgb, var(--key) 25%, var(--card)); } .heat4 { background: color-mix(in srgb, var(--key) 35%, var(--card)); } .heat5 { background: color-mix(in srgb, var(--key) 46%, var(--card)); font-weight: 700; }
        .side { display: grid; gap: 1rem; align-content: start; min-width: 0; }
        .empty { display: block; max-width: 40rem; margin: 12vh auto; text-align: center; font-size: 1.3rem; } .empty strong { font-size: 2.2rem; }
        @media (max-width: 75rem) { main { grid-template-columns: repeat(2, minmax(0, 1fr)); } .tiles { grid-template-columns: repeat(3, minmax(0, 1fr)); } .side { grid-column: span 2; } }
        @media (max-width: 45rem) { main { grid-template-columns: minmax(0, 1fr); } .wide, .side { grid-column: auto; } .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .6rem; } .tile { padding: .7rem .8rem; }
          section { padding: .9rem; } .wide { overflow-x: auto; } .heat { min-width: 36rem; } .plain td.note { white-space: normal; } }
        @media print { :root { color-scheme: light; } body { background: #fff; padding: 0; font-size: 10pt; } * { print-color-adjust: exact; } section, .tile { border-color: #bbb; } .figure { font-size: 20pt; } }
        """;
}
