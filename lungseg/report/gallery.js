const list = document.getElementById("cards"), form = document.getElementById("controls");
const bars = [...document.querySelectorAll(".bar")];
const number = (card, key) => parseFloat(card.dataset[key]);
const cards = [...list.children].map((card, place) => ({
  card, place, text: card.querySelector(".name").textContent.toLowerCase(), flags: card.dataset.flags.split(" "),
}));

// Rising order; what lacks the figure comes last.
const by = value => (a, b) => (isNaN(value(a)) - isNaN(value(b))) || value(a) - value(b) || a.place - b.place;
const orders = {
  worst: by(item => item.place),
  best: by(item => -item.place),
  small: by(item => number(item.card, "area")),
  large: by(item => -number(item.card, "area")),
  unequal: by(item => -Math.abs(Math.log(number(item.card, "ratio")))),
  name: (a, b) => a.text.localeCompare(b.text, undefined, { numeric: true }) || a.place - b.place,
};

function show() {
  const checked = name => [...form.querySelectorAll(`[name=${name}]:checked`)].map(box => box.value);
  const status = checked("status"), flags = checked("flag"), words = form.search.value.trim().toLowerCase();
  const ranges = bars.filter(bar => bar.getAttribute("aria-pressed") === "true").map(bar => bar.dataset);
  let count = 0;
  for (const { card, text, flags: own } of cards) {
    const inside = ({ key, low, high }) => number(card, key) >= +low && number(card, key) < +high;
    card.hidden = !(text.includes(words) && (!status.length || status.includes(card.dataset.status))
      && (!flags.length || flags.some(flag => own.includes(flag))) && ranges.every(inside));
    count += !card.hidden;
  }
  document.getElementById("shown").textContent = `${count.toLocaleString("en")} of ${cards.length.toLocaleString("en")} shown`;
}

function arrange() {
  list.append(...[...cards].sort(orders[form.order.value]).map(item => item.card));
}

function press(bar) {
  const pressed = bar.getAttribute("aria-pressed") === "true";
  for (const other of bars) if (other.dataset.key === bar.dataset.key) other.setAttribute("aria-pressed", "false");
  bar.setAttribute("aria-pressed", String(!pressed));
  show();
}

for (const bar of bars) {
  bar.onclick = () => press(bar);
  bar.onkeydown = event => { if ([" ", "Enter"].includes(event.key)) { event.preventDefault(); press(bar); } };
}
form.oninput = event => event.target.id === "order" ? arrange() : show();
form.onsubmit = event => event.preventDefault();
form.onreset = () => setTimeout(() => { for (const bar of bars) bar.setAttribute("aria-pressed", "false"); arrange(); show(); });
form.hidden = false;
show();
