/** One part of the page's state, as its actions see it. */

/**
 * @typedef {object} Part
 * @property {any} state of this part, newest
 * @property {object} page the whole state, newest
 * @property {(values: object) => void} set replaces some of the part's values
 * @property {(change: (state: any, ...values: any[]) => any, ...values: any[]) => void} update by a pure function
 */

/**
 * The actions of a part, each called without the part that it gets as its first argument.
 * @param {{state: object}} app
 * @param {(name: string, change: Function, ...values: unknown[]) => void} update
 * @param {string} name
 * @param {Object<string, (part: Part, ...values: any[]) => unknown>} actions
 */
export function bound(app, update, name, actions) {
  const part = {
    get state() {
      return app.state[name];
    },
    get page() {
      return app.state;
    },
    set: (values) => update(name, (state) => ({ ...state, ...values })),
    update: (change, ...values) => update(name, change, ...values),
  };
  return Object.fromEntries(Object.entries(actions).map(([action, act]) => [action, (...values) => act(part, ...values)]));
}

/** A table without one of its entries. */
export const without = (table, key) => Object.fromEntries(Object.entries(table).filter(([name]) => name !== key));
