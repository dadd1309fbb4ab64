/** Sentences, numbers, money and times in the reader's language. */

/** Those that have words. */
export const languages = ["en"];
const LOCALES = { en: "en-BD", bn: "bn-BD" };
const BENGALI_ZERO = "০".charCodeAt(0);
const words = new Map();

export const lang = chosen(cookie("lang"), globalThis.navigator?.languages ?? []);
const locale = LOCALES[lang];
const plurals = new Intl.PluralRules(locale);

/** Load the words of all pages and of this one, and name the document's language. */
export async function speak(page) {
  const files = ["common", page].map((name) => import(`../words/${lang}/${name}.js`));
  for (const { default: loaded } of await Promise.all(files)) learn(loaded);
  document.documentElement.lang = lang;
}

/** Add words: keys `page.part.state` to a sentence, or to `{one, other}` by the value `n`. */
export function learn(loaded) {
  for (const [key, sentence] of Object.entries(loaded)) words.set(key, sentence);
}

/** The sentence of a key with its `{values}`. Numbers are written as the language does; call numbers are given as texts. */
export function t(key, values = {}) {
  const found = words.get(key) ?? key;
  const sentence = typeof found === "string" ? found : found[plurals.select(values.n)] ?? found.other;
  return sentence.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? shown(values[name]) : whole));
}

/** 1240 is "1,240". */
export function digits(n) {
  return new Intl.NumberFormat(locale, { maximumFractionDigits: 2 }).format(n);
}

/** "110.00" is "৳110", "110.5" is "৳110.50". */
export function money(text) {
  const amount = Number(text);
  const minimumFractionDigits = Number.isInteger(amount) ? 0 : 2;
  return `৳${new Intl.NumberFormat(locale, { minimumFractionDigits, maximumFractionDigits: 2 }).format(amount)}`;
}

/** The time of day of an ISO text or of milliseconds: "17:46", with seconds "17:46:02". */
export function time(iso, { seconds = false } = {}) {
  const parts = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(seconds ? { second: "2-digit" } : {}) };
  return new Intl.DateTimeFormat(locale, parts).format(new Date(iso));
}

/** "Nov 30, 17:46". */
export function day(iso) {
  const parts = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat(locale, parts).format(new Date(iso));
}

/** Ids and codes typed with Bangla digits are the same. */
export function latinDigits(typed) {
  return typed.replace(/[০-৯]/g, (digit) => String(digit.charCodeAt(0) - BENGALI_ZERO));
}

/** The first of the wish and the browser's languages that has words, else English. */
export function chosen(wish, preferred, known = languages) {
  const asked = [wish ?? "", ...preferred].map((tag) => tag.split("-")[0].toLowerCase());
  return asked.find((tag) => known.includes(tag)) ?? known[0];
}

function shown(value) {
  return typeof value === "number" ? digits(value) : String(value);
}

function cookie(name) {
  const pairs = (globalThis.document?.cookie ?? "").split("; ");
  return pairs.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1);
}
