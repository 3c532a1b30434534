"use strict";
// The viewer: NiiVue with FLAIR, T1 if there is one, and the marks; sliders for all it can do.
(() => {
  const element = (name) => document.getElementById(name);
  const facts = JSON.parse(element("data-facts").textContent);

  // A volume is NIfTI, compressed, in base64.
  async function volume(name) {
    const held = element(`data-${name}`);
    if (held === null) return null;
    const letters = atob(held.textContent);
    const bytes = new Uint8Array(letters.length);
    for (let n = 0; n < letters.length; n += 1) bytes[n] = letters.charCodeAt(n);
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(plain).arrayBuffer();
  }

  async function image(name, colours) {
    const content = await volume(name);
    if (content === null) return null;
    const made = await niivue.NVImage.new(
      content, `${name}.nii`, colours, 1, null, 0, 255, true, 0, false, false, "", 0,
    );
    return made;
  }

  function hasWebGL() {
    try {
      return document.createElement("canvas").getContext("webgl2") !== null;
    } catch {
      return false;
    }
  }

  async function begin() {
    if (!hasWebGL() || typeof DecompressionStream === "undefined") return;
    const flair = await image("flair", "gray");
    const t1 = await image("t1", "gray");
    const marks = await image("mask", "gray");
    const held = await volume("probability");
    element("no-viewer").hidden = true;
    element("stage").hidden = false;
    element("controls").hidden = false;
    const view = new niivue.Niivue({
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.35, 0.75, 1, 0.8],
      crosshairWidth: 1,
      dragAndDropEnabled: false,
      isNearestInterpolation: true,
      isRadiologicalConvention: true,
      loadingText: "",
      logLevel: "error",
      multiplanarForceRender: false,
      multiplanarShowRender: 0,
      scrollRequiresFocus: true,
      show3Dcrosshair: false,
    });
    await view.attachToCanvas(element("view"), false);
    // Orange and violet, as in the pictures: no grey to any eye.
    view.addColormap("marks", {
      R: [0, 195, 255], G: [0, 0, 130], B: [0, 255, 0], A: [0, 255, 255], I: [0, 128, 255],
    });
    marks.colormap = "marks";
    for (const one of [flair, t1, marks]) if (one !== null) view.addVolume(one);
    view.setSliceType(view.sliceTypeMultiplanar);
    if (t1 !== null) view.setOpacity(1, 0);

    const result = marks.img.slice();
    // The voxels follow the header of 352 bytes, in the order of the mask's own.
    const likely = held === null ? null : new Uint8Array(held, 352, result.length);
    const state = { shown: "mask", threshold: 0, t1: false };

    function redraw() {
      if (state.shown === "mask") {
        marks.img.set(result);
      } else {
        const [threshold] = facts.curve[state.threshold];
        const above = Math.round(threshold * facts.steps_of_1);
        for (let n = 0; n < likely.length; n += 1) marks.img[n] = likely[n] > above ? 255 : 0;
      }
      view.updateGLVolume();
      say();
    }

    function say() {
      let volume_ml = facts.volume_ml;
      let count = facts.lesion_count;
      let what = "The result";
      if (state.shown === "probability") {
        const [threshold, ml, lesions] = facts.curve[state.threshold];
        [volume_ml, count, what] = [ml, lesions, `Probability above ${threshold}`];
        element("threshold-value").textContent = String(threshold);
      }
      element("amount").textContent = `${what}: ${volume_ml.toFixed(2)} ml, ${count} lesions`;
    }

    // Places ------------------------------------------------------------------------------------
    const planes = { across: 0, along: 1, up: 2 };
    const sizes = flair.dimsRAS.slice(1, 4);
    for (const [name, axis] of Object.entries(planes)) {
      const slider = element(name);
      slider.max = String(sizes[axis] - 1);
      slider.addEventListener("input", () => {
        const place = [...view.scene.crosshairPos];
        // Sliders and voxels count from the patient's left to right the other way round.
        place[axis] = (Number(slider.value) + 0.5) / sizes[axis];
        view.scene.crosshairPos = place;
        view.drawScene();
        located();
      });
    }

    function located() {
      const place = view.scene.crosshairPos;
      for (const [name, axis] of Object.entries(planes)) {
        const index = Math.min(sizes[axis] - 1, Math.floor(place[axis] * sizes[axis]));
        element(name).value = String(index);
        element(`${name}-value`).textContent = `${index + 1} of ${sizes[axis]}`;
      }
      const [x, y, z] = view.frac2mm(place);
      const side = (value, more, less) => `${Math.abs(value).toFixed(1)} mm ${value < 0 ? less : more}`;
      element("where").textContent =
        `Place in the scanner: ${side(x, "right", "left")}, ${side(y, "front", "back")}, ` +
        `${side(z, "up", "down")}`;
    }

    function go(lesion) {
      const goal = facts.goals[lesion - 1];
      if (goal === undefined) return;
      view.scene.crosshairPos = view.mm2frac(goal);
      view.drawScene();
      located();
      for (const row of document.querySelectorAll("#lesion-table tr.here")) {
        row.classList.remove("here");
      }
      const button = document.querySelector(`button.go[data-lesion="${lesion}"]`);
      button.closest("tr").classList.add("here");
      element("viewer").scrollIntoView({ block: "start" });
      element("view").focus({ preventScroll: true });
    }

    view.onLocationChange = located;
    for (const button of document.querySelectorAll("button.go")) {
      button.addEventListener("click", () => go(Number(button.dataset.lesion)));
    }

    // What is shown -----------------------------------------------------------------------------
    const top = view.volumes.length - 1;
    const opacity = element("opacity");
    const setOpacity = () => {
      element("opacity-value").textContent = `${opacity.value} %`;
      view.setOpacity(top, Number(opacity.value) / 100);
    };
    opacity.addEventListener("input", setOpacity);
    element("outline").addEventListener("change", (event) => {
      view.overlayOutlineWidth = event.target.checked ? 1 : 0;
      view.updateGLVolume();
    });
    const slider = element("threshold");
    if (slider !== null && likely !== null) {
      state.threshold = Number(slider.value);
      const choose = (shown) => {
        state.shown = shown;
        for (const choice of document.querySelectorAll("input[name=shown]")) {
          choice.checked = choice.value === shown;
        }
        redraw();
      };
      element("threshold-value").textContent = String(facts.curve[state.threshold][0]);
      slider.addEventListener("input", () => {
        state.threshold = Number(slider.value);
        element("threshold-value").textContent = String(facts.curve[state.threshold][0]);
        choose("probability");
      });
      for (const choice of document.querySelectorAll("input[name=shown]")) {
        choice.addEventListener("change", () => choose(choice.value));
      }
    }
    const showT1 = (shown) => {
      state.t1 = shown;
      view.setOpacity(1, shown ? 1 : 0);
      element("t1").setAttribute("aria-pressed", String(shown));
      element("t1").textContent = shown ? "Show FLAIR" : "Show T1";
    };
    let flickering = null;
    if (t1 !== null) {
      element("t1").addEventListener("click", () => showT1(!state.t1));
      element("flicker").addEventListener("click", () => {
        const stopped = flickering !== null;
        if (stopped) clearInterval(flickering);
        // Slower than three times a second, which is safe for everybody.
        flickering = stopped ? null : setInterval(() => showT1(!state.t1), 700);
        element("flicker").setAttribute("aria-pressed", String(!stopped));
        element("flicker").textContent = stopped ? "Flicker" : "Stop flicker";
      });
    }

    setOpacity();
    say();
    if (facts.goals.length > 0) {
      view.scene.crosshairPos = view.mm2frac(facts.goals[0]);
      view.drawScene();
    }
    located();
    // What tests look at.
    window.wmhsegViewer = { view, state, marks, go, sizes };
    document.documentElement.dataset.viewer = "ready";
  }

  begin().catch((error) => {
    document.documentElement.dataset.viewer = "failed";
    element("no-viewer").hidden = false;
    element("stage").hidden = true;
    element("controls").hidden = true;
    console.error(error);
  });
})();
