// The scene's surface instead of its splats: the textured triangles of the mesh, as they are, without further light.

import { Group, type Material, type Mesh, MeshBasicMaterial, type MeshStandardMaterial } from "three";
import { PageError } from "../../errors";
import { loadGlb, matrixInThree } from "../../glb";
import type { Feature, Page } from "../../page";

const ICON = '<path d="M12 3 3.500 8v8L12 21l8.500-5V8zM3.500 8 12 13l8.500-5M12 13v8M7.700 5.500 16.300 10.500" />';

export const mesh: Feature = (page: Page): void => {
  const { mesh: url } = page.scene;
  if (url === null) return;
  // What lies in three's frame hangs in the world's group turned back.
  const holder = new Group();
  holder.quaternion.copy(page.stage.world.quaternion).invert();
  page.stage.add(holder);
  let root: Group | null = null;
  let wanted = false;
  const apply = (): void => {
    if (root !== null) root.visible = wanted;
    page.splats.visible = !(wanted && root !== null);
    toggle.pressed = wanted;
    document.body.dataset.shown = wanted && root !== null ? "mesh" : "splats";
    page.stage.invalidate();
  };
  const press = async (): Promise<void> => {
    wanted = !wanted;
    toggle.pressed = wanted;
    if (wanted && root === null) {
      page.notice("Loading the mesh …");
      try {
        root = plain(await loadGlb(url, "The mesh"));
        root.applyMatrix4(matrixInThree(page.scene));
        holder.add(root);
      } catch (error) {
        wanted = false;
        page.notice(error instanceof PageError ? `${error.heading}. ${error.advice}` : String(error));
      }
    }
    apply();
  };
  const toggle = page.toolbar.addButton({
    id: "mesh", label: "Mesh", icon: ICON, title: "Show the mesh instead of the splats", key: "t", group: "view",
    toggle: true, onPress: () => void press(),
  });
  page.onSplats(apply);
};

/** The photos' light is in the textures: no lamp of ours may be added to it. */
function plain(root: Group): Group {
  root.traverse((object) => {
    const part = object as Mesh;
    if (!part.isMesh) return;
    const lit = part.material as MeshStandardMaterial;
    part.material = new MeshBasicMaterial({
      map: lit.map ?? null,
      color: lit.color,
      vertexColors: lit.vertexColors,
      side: lit.side,
      toneMapped: false,
    }) as Material;
    part.frustumCulled = false;
    lit.dispose();
  });
  return root;
}
