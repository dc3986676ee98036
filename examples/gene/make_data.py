"""The data of this example: copies of an mRNA in single cells, fixed at three times."""

from pathlib import Path

import tumble as tb

gene = tb.ReactionNetwork.from_text(
    "off -> on ; k_on\non -> off ; k_off\non -> on + mRNA ; k_syn\nmRNA -> 0 ; 1"
)
lines = ["hour,cell,mRNA"]
for number, hour in enumerate([1.0, 3.0, 8.0]):
    cells = tb.simulate(
        gene,
        {"k_on": 0.5, "k_off": 1.5, "k_syn": 40.0},
        initial={"off": 2, "on": 0, "mRNA": 0},
        times=[hour],
        num_samples=150,
        seed=number,
    )
    for cell, count in enumerate(cells.data.sel(species="mRNA").values[:, 0], start=1):
        lines.append(f"{hour:g},{cell},{count:.0f}")
Path(__file__).with_name("cells.csv").write_text("\n".join(lines) + "\n")
