
'use strict';
const table = document.getElementById('groups');
const body = table.tBodies[0];
const heads = [...table.tHead.rows[0].cells];
const filter = document.getElementById('filter');
let last = -1, up = true;
function sort(column) {
  up = column === last ? !up : true;
  last = column;
  const number = heads[column].classList.contains('number');
  const of = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const rows = [...body.rows].sort((a, b) => (number ? of(a) - of(b) : of(a).localeCompare(of(b))) * (up ? 1 : -1));
  body.append(...rows);
  heads.forEach((head, index) => head.setAttribute('aria-sort', index !== column ? 'none' : up ? 'ascending' : 'descending'));
}
function sift() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of body.rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
  }
}
heads.forEach((head, index) => head.firstElementChild.addEventListener('click', () => sort(index)));
filter.addEventListener('input', sift);
document.getElementById('filtering').hidden = false;
// A link can say how the table is to be shown: #sort=8&filter=plaintext
const wanted = new URLSearchParams(location.hash.slice(1));
if (heads[wanted.get('sort')] && wanted.has('sort')) sort(Number(wanted.get('sort')));
if (wanted.has('filter')) { filter.value = wanted.get('filter'); sift(); }
