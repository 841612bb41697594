// Every test runs with the costly assertions on (base/assert.ts).
Reflect.set(globalThis, Symbol.for('varve.paranoid'), true)
