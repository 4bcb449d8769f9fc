// The shape of the land, and where a place is on a flat map.

export const WIDTH = 960;
export const HEIGHT = 440;
const TOP = 80; // degrees north at the upper edge
const BOTTOM = -56;

// Equirectangular, cut off where nobody calls from.
export function project([longitude, latitude]) {
  const x = ((longitude + 180) / 360) * WIDTH;
  const y = ((TOP - latitude) / (TOP - BOTTOM)) * HEIGHT;
  return [x, y];
}

// TopoJSON: lines in whole numbers, each the difference to the one before.
export function landPath(topology) {
  const { scale, translate } = topology.transform;
  const arcs = topology.arcs.map((arc) => {
    let x = 0;
    let y = 0;
    return arc.map(([dx, dy]) => {
      x += dx;
      y += dy;
      return [x * scale[0] + translate[0], y * scale[1] + translate[1]];
    });
  });
  const arcOf = (index) => (index < 0 ? arcs[~index].slice().reverse() : arcs[index]);
  const ringOf = (indices) => indices.flatMap((index, place) => (place ? arcOf(index).slice(1) : arcOf(index)));
  const polygons = topology.objects.land.geometries.flatMap((one) => (one.type === "Polygon" ? [one.arcs] : one.arcs));
  const rings = polygons.flat().map(ringOf).filter((ring) => ring.some(([, latitude]) => latitude > BOTTOM)).map(unbroken).flatMap(onBothEdges);
  return rings.map((ring) => "M" + ring.map((point) => project(point).map((value) => value.toFixed(1)).join(",")).join("L") + "Z").join("");
}

// A coast that crosses the date line goes on beyond the edge of the map …
function unbroken(ring) {
  let turn = 0;
  return ring.map(([longitude, latitude], index) => {
    const before = index ? ring[index - 1][0] : longitude;
    if (longitude - before > 180) turn -= 360;
    if (before - longitude > 180) turn += 360;
    return [longitude + turn, latitude];
  });
}

// … and comes in again on the other side.
function onBothEdges(ring) {
  const shifted = (by) => ring.map(([longitude, latitude]) => [longitude + by, latitude]);
  const west = ring.some(([longitude]) => longitude < -181);
  const east = ring.some(([longitude]) => longitude > 181);
  return [ring, ...(west ? [shifted(360)] : []), ...(east ? [shifted(-360)] : [])];
}

// A curve between two places, bent towards the pole as great circles are.
export function curve(from, to) {
  const [x1, y1] = project(from);
  const [x2, y2] = project(to);
  const away = Math.hypot(x2 - x1, y2 - y1);
  const bend = Math.min(away * 0.22, 90);
  const middle = [(x1 + x2) / 2, (y1 + y2) / 2 - bend];
  const label = [(x1 + 2 * middle[0] + x2) / 4, (y1 + 2 * middle[1] + y2) / 4];
  return { path: `M${x1.toFixed(1)},${y1.toFixed(1)}Q${middle[0].toFixed(1)},${middle[1].toFixed(1)} ${x2.toFixed(1)},${y2.toFixed(1)}`, label, away };
}
