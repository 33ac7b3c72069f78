// Walking: the third way of moving. Feet on the collider, or on level ground where the scene has none.

import { Vector3 } from "three";
import { freeLens, lookingAt, viewpointOf } from "../../coordinates";
import { byId, reducedMotion } from "../../dom";
import type { Feature, Page } from "../../page";
import { unitsPerMetre } from "../../scale";
import { type Surface, surfaceOf } from "../../surface";
import { EYE_HEIGHT, Walker } from "./walker";

/** Metres a second; Shift triples it. */
const SPEED = 1.4;
/** So far below the scene a fall has missed every floor. */
const LOST_METRES = 10;
const WALK_ICON =
  '<circle cx="13" cy="4.500" r="1.800" /><path d="m9 21 2.500-6-2-2.800.8-4.500 2.700 1 1.700 2.800 2.800 1M12.200 14l3 2.500L16 21M10.300 7.700 7.500 9.500 7 13" />';

export const walk: Feature = (page: Page): void => {
  const button = byId<HTMLButtonElement>("walk");
  button.querySelector("svg")!.innerHTML = WALK_ICON;
  button.hidden = false;
  const begin = (): void => void start(page);
  button.addEventListener("click", begin);
  page.shortcuts.add("3", begin, "walk");
};

async function start(page: Page): Promise<void> {
  const { navigation } = page;
  if (navigation.mode === "walk") return;
  const surface = await floorOf(page);
  const { ground } = surface;
  const units = unitsPerMetre(page, ground);
  const feet = floorBelow(page, surface, ground);
  const walker = new Walker(feet, surface, units, Math.min(ground, page.bounds.min.y) - LOST_METRES * units);
  const eye = feet.clone().setY(feet.y + EYE_HEIGHT * units);
  const ahead = new Vector3(0, 0, -1).applyQuaternion(page.stage.camera.quaternion).setY(0);
  if (ahead.lengthSq() < 1e-6) ahead.set(0, 0, -1);
  navigation.mode = "walk";
  await navigation.flyTo(lookingAt(eye, eye.clone().add(ahead.normalize())), page.radius * 0.3, freeLens);
  if (navigation.mode !== "walk") return;
  navigation.walker = {
    step(camera: Vector3, wanted: Vector3, seconds: number): boolean {
      const moved = walker.step(wanted.multiplyScalar(SPEED), seconds);
      const { x, y, z } = camera;
      const height = walker.eyeHeight(y, seconds, !reducedMotion());
      camera.set(walker.feet.x, height, walker.feet.z);
      document.body.dataset.feet = walker.feet.toArray().map((v) => v.toFixed(3)).join(" ");
      return moved || camera.x !== x || camera.y !== y || camera.z !== z;
    },
    unitsPerMetre: units,
  };
  document.body.dataset.feet = feet.toArray().map((v) => v.toFixed(3)).join(" ");
  if (!page.scene.isMetric) page.notice("The scene's scale is unknown: your height here is a guess.");
}

/** The scene's collider, or level ground, said in words. */
async function floorOf(page: Page): Promise<Surface> {
  const surface = surfaceOf(page);
  await surface.ready;
  // A collider that could not be read has been told of already.
  if (page.scene.collider === null) {
    page.notice("This scene has no collider: you walk on a level floor and through walls. diorama mesh makes one.");
  }
  return surface.current;
}

/** The floor below the camera; else below the capture's camera nearest to it; else the ground. */
function floorBelow(page: Page, surface: Surface, ground: number): Vector3 {
  const here = page.stage.camera.position;
  const cameras = page.scene.cameras.map((camera) => viewpointOf(camera).position);
  cameras.sort((a, b) => a.distanceToSquared(here) - b.distanceToSquared(here));
  const bottom = Math.min(ground, page.bounds.min.y) - page.radius;
  for (const place of [here, ...cameras]) {
    const hit = surface.between(place, new Vector3(place.x, bottom, place.z));
    if (hit !== null) return hit.point;
  }
  return new Vector3(here.x, ground, here.z);
}
