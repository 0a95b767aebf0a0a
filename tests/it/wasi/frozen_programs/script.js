// Prints from inside functions that the interpreter's own functions call.
const words = 'the quick brown fox jumps over the lazy dog'.split(' ');
words.sort((a, b) => { print('compares', a, b); return a < b ? -1 : a > b ? 1 : 0; });
print(words.join(' '));

print('a1b22c333'.replace(/\d+/g, digits => { print('found', digits); return `<${digits}>`; }));

function* numbers() {
    let n = 0;
    try { while (true) { print('yields', n); yield n++; } } finally { print('closed'); }
}
for (const n of numbers()) if (n === 3) break;

const proxy = new Proxy({}, { get(_, name) { print('gets', name); return name.length; } });
print(proxy.one + proxy.three);

class Factorial {
    constructor(n) { this.n = n; }
    get value() {
        print('looks up', this.n);
        const value = this.n ? this.n * new Factorial(this.n - 1).value : 1;
        print('has', value);
        return value;
    }
}
print(new Factorial(6).value);

print(JSON.stringify({ a: 1, b: { toJSON() { print('becomes text'); return [1, 2]; } } }));
print(JSON.parse('[1,{"x":2}]', (key, value) => {
    print('revives', key);
    return typeof value === 'number' ? value + 1 : value;
})[1].x);

try {
    [1, 2, 3].forEach(n => { print('each', n); if (n === 2) throw new RangeError('enough'); });
} catch (error) {
    print(error.name, error.message);
}

const later = async n => { print('begins', n); await null; print('goes on', n); return n * 2; };
Promise.all([later(1), later(2)]).then(values => print('all', values));

const before = Date.now();
print(Date.now() - before, 2n ** 100n, eval('print("evaluates"), 6 * 7'));

let sum = 0;
for (let i = 1; i <= 20000; i++) {
    sum = (sum * 31 + String(i).length) % 1000003;
    if (i % 5000 === 0) print('sum', i, sum);
}
